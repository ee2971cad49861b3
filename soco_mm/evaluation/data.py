import os
import os.path as osp
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from soco_mm.registry import DATASETS, TRANSFORMS
from soco_mm.utils import (
    ImageError,
    SoCoError,
    UsageError,
    did_you_mean,
    list_images,
    read_image,
)
from soco_mm.utils.stretch import as_percentiles


def find_classes(folder: str | Path) -> list[str]:
    """Names of the class folders in a folder, sorted, without hidden ones.

    Raises:
        UsageError: If there is no such folder, or fewer than two classes.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(
            f'There is no folder {folder}. Give the folder that '
            'holds one folder of images per class.'
        )
    classes = sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.is_dir() and not entry.name.startswith('.')
    )
    if len(classes) < 2:
        raise UsageError(
            f'{folder} holds {len(classes) or "no"} class folder'
            f'{"" if len(classes) == 1 else "s"}. Give a folder '
            'with one folder of images for each of at least two '
            'classes.'
        )
    return classes


@DATASETS.register_module()
class ClassFolders(BaseDataset):
    """Labelled images, one folder per class, as in ImageNet.

    Within a class images may be nested; images outside of any are left out.

    Args:
        data_root (str): The folder that holds the class folders.
        classes_of (str, optional): The folder whose class folders number the
            classes: for validation the folder of training, of which it may
            have only some classes. Defaults to None, ``data_root``.
        **kwargs: Other arguments of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        UsageError: If there are no class folders, one of ``classes_of`` is
            empty, or one is not among its classes.
    """

    samples = 'images'

    def __init__(self, data_root: str, classes_of: str | None = None, **kwargs) -> None:
        self.classes_of = classes_of or data_root
        super().__init__(
            data_root=data_root,
            metainfo=dict(classes=find_classes(self.classes_of)),
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Find the images: ``img_path`` and ``gt_label`` of each."""
        labels = {name: index for index, name in enumerate(self.metainfo['classes'])}
        listing = list_images(self.data_root)
        for note in listing.describe():
            print_log(f'{self.data_root}: {note}', logger='current')
        found = [path for path in listing.paths if '/' in path]
        if not found:
            raise UsageError(
                f'{self.data_root} holds images, but no class '
                'folders. Put those of each class into their '
                'own folder.'
            )
        names = {path.partition('/')[0] for path in found}
        unknown = sorted(names - labels.keys())
        if unknown:
            raise UsageError(
                f'{self.data_root} has the class {unknown[0]}'
                f'{self._more(unknown)}, which {self.classes_of} '
                f'lacks.{did_you_mean(unknown[0], labels)} Both must use the same '
                'names of class folders.'
            )
        empty = sorted(labels.keys() - names)
        if empty and self.classes_of == self.data_root:
            raise UsageError(
                f'The class folder {osp.join(self.data_root, empty[0])} holds '
                f'no image{self._more(empty)}. Remove it or put images there.'
            )
        return [
            dict(
                img_path=osp.join(self.data_root, path),
                gt_label=labels[path.partition('/')[0]],
            )
            for path in found
        ]

    @staticmethod
    def _more(names: list) -> str:
        return f' (and {len(names) - 1} more)' if len(names) > 1 else ''


@TRANSFORMS.register_module()
class LoadRGBImage(BaseTransform):
    """Read ``img_path`` into ``img`` as pretraining does: RGB, (H, W, 3).

    If there is a ``bbox`` (x1, y1, x2, y2 in whole pixels, continuous), only
    that part of the image is read.

    Args:
        stretch (tuple, optional): See
            :class:`soco_mm.datasets.transforms.LoadImage`. Defaults to None.

    Raises:
        SoCoError: If the image cannot be read.
    """

    def __init__(self, stretch: tuple[float, float] | None = None) -> None:
        self.stretch = as_percentiles(stretch)
        # Objects of one image follow each other in validation.
        self.last: tuple = (None, None)

    def transform(self, results: dict) -> dict:
        """Read the image."""
        path, box = results['img_path'], results.get('bbox')
        if box is None:
            image = self._read(path)
        else:
            if self.last[0] != path:
                self.last = path, self._read(path)
            x1, y1, x2, y2 = box
            image = self.last[1][y1:y2, x1:x2].copy()
        return dict(
            results, img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2]
        )

    def _read(self, path: str) -> np.ndarray:
        try:
            return read_image(path, self.stretch)
        except ImageError as error:
            raise SoCoError(f'{path} {error}.') from None
