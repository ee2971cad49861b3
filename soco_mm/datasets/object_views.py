import os.path as osp

import numpy as np
from mmengine.dataset import Compose
from mmengine.logging import print_log
from torch.utils.data import Dataset

from soco_mm.proposals import ProposalStore
from soco_mm.proposals.pixels import compare_sizes
from soco_mm.registry import DATASETS, TRANSFORMS
from soco_mm.utils import ImageError, SoCoError
from soco_mm.utils.stretch import as_percentiles

from .replaced import REPLACED
from .sampler import sample_rng
from .transforms import LoadImage


@DATASETS.register_module()
class ObjectViewDataset(Dataset):
    """Unlabelled images with object proposals.

    A sample is what the pipeline makes of ``dict(img_path, proposals,
    proposals_size, rng)``: the path of the image; its proposals as x1 y1 x2
    y2, float32, (P, 4), in pixels of an image of the width and height
    ``proposals_size``; and a :class:`numpy.random.Generator` that depends only
    on the seed, the epoch and the image (see :class:`EpochSampler`).

    Args:
        data_root (str): The folder of images.
        proposals (str): The proposals of these images, as written by
            ``soco-mm proposals``; its images are the data set.
        pipeline (list): Configs of the transforms.
        num_images (int, optional): Use only this many of them, drawn with
            the seed. Defaults to None, all.
        seed (int): Seed of the random numbers. Defaults to 0.
        max_refetch (int): How many images in a row may be unreadable before
            training stops. Defaults to 100.

    Raises:
        SoCoError: If the proposals cannot be read, or are of fewer images
            than ``num_images``.
    """

    # Whether a sample says which images it replaces, see :mod:`.replaced`.
    note_replaced = False
    # MMEngine keeps it with the checkpoints.
    metainfo = dict(task='object-level pretraining')  # noqa: RUF012

    def __init__(
        self,
        data_root: str,
        proposals: str,
        pipeline: list,
        num_images: int | None = None,
        seed: int = 0,
        max_refetch: int = 100,
    ) -> None:
        self.data_root = data_root
        self.store = ProposalStore.open(proposals)
        self.pipeline = Compose([TRANSFORMS.build(cfg) for cfg in pipeline])
        self.loader = next(
            (each for each in self.pipeline.transforms if isinstance(each, LoadImage)),
            LoadImage(),
        )
        self.seed = seed
        self.chosen = None
        if num_images is not None:
            if num_images > len(self.store):
                raise SoCoError(
                    f'The config asks for num_images={num_images}, but '
                    f'{proposals} has proposals of {len(self.store)}.'
                )
            rng = np.random.default_rng(seed)
            self.chosen = rng.choice(len(self.store), num_images, replace=False)
            self.chosen.sort()
        self.max_refetch = max_refetch

    def __len__(self) -> int:
        """Number of images."""
        return len(self.store if self.chosen is None else self.chosen)

    def get_data_info(self, index: int) -> dict:
        """Path and proposals of one image.

        Args:
            index (int): Index of the image.

        Returns:
            dict: ``img_path``, ``proposals`` and ``proposals_size``.
        """
        if self.chosen is not None:
            index = int(self.chosen[index])
        return dict(
            img_path=osp.join(self.data_root, self.store.path(index)),
            proposals=self.store.boxes(index),
            proposals_size=self.store.size(index),
        )

    def load_image(self, index: int) -> dict:
        """Load an image and its proposals, before the views are made.

        Args:
            index (int): Index of the image.

        Returns:
            dict: ``image`` (RGB, uint8, (H, W, 3)), and ``proposals`` in its
            pixels; and the rest of :meth:`get_data_info`.

        Raises:
            ImageError: If the image cannot be read.
            SoCoError: If it has a size that its boxes cannot be scaled to.
        """
        return self.loader(self.get_data_info(index))

    def compare_images(self) -> list[str]:
        """Compare a sample of the images with the proposals.

        Returns:
            list[str]: Notes before the training, one sentence each.

        Raises:
            SoCoError: If the images are missing, have sizes that their boxes
                cannot be scaled to, or are read differently from when the
                proposals were made.
        """
        self._check_stretch()
        return compare_sizes(self.store, self.data_root, self.chosen)

    def _check_stretch(self) -> None:
        """Refuse pixels that are not those in which the proposals were found.

        Raises:
            SoCoError: If images are reduced to 8 bits in another way.
        """
        header, used = self.store.header, self.loader.stretch
        known = as_percentiles(header.get('stretch'))
        # Boxes of other tools are for the images as they are.
        imported = known is None and header['generator']['type'] == 'Imported'
        if used == known or imported:
            return
        made, reads = (
            f'with --stretch {each[0]:g} {each[1]:g}' if each else 'without --stretch'
            for each in (known, used)
        )
        value = f'"({known[0]:g},{known[1]:g})"' if known else 'None'
        raise SoCoError(
            f'The proposals in {self.store.folder} were made {made}, but training '
            f'reads the images {reads}. Set train_dataloader.dataset.pipeline.0.'
            f'stretch={value}, or make the proposals again.'
        )

    def __getitem__(self, idx: int) -> dict:
        """One sample; ``idx`` is ``epoch * len(self) + index``.

        An image that cannot be read is replaced by the next one, which a
        warning says, or with ``note_replaced`` the sample.

        Raises:
            SoCoError: If ``max_refetch`` images in a row cannot be read.
        """
        epoch, index = divmod(idx, len(self))
        tries = min(self.max_refetch, len(self))
        replaced = []
        for current in range(index, index + tries):
            current %= len(self)
            data = self.get_data_info(current)
            data['rng'] = sample_rng(self.seed, epoch, current)
            path = data['img_path']
            try:
                sample = self.pipeline(data)
            except ImageError as error:
                replaced.append((path, str(error)))
                if not self.note_replaced:
                    print_log(
                        f'{path} {error}; using another image.',
                        logger='current',
                        level=30,
                    )
                continue
            if replaced and self.note_replaced:
                sample[REPLACED] = replaced
            return sample
        raise SoCoError(
            f'None of {tries} images in a row in {self.data_root} can be '
            'read. Are the images still where the proposals were made?'
        )
