import os.path as osp
from collections.abc import Sequence

from mmengine.dataset import BaseDataset

from soco_mm.coco import Reason, read_annotations
from soco_mm.registry import DATASETS
from soco_mm.utils import UsageError
from soco_mm.utils.image import MIN_SIDE

TINY = Reason(
    'tiny object',
    'tiny objects',
    f'with a side of less than {MIN_SIDE} pixels, left out',
)


@DATASETS.register_module()
class ObjectCrops(BaseDataset):
    """Annotated objects: the part of an image in each box, and its class.

    Crowds, ignored, invisible and tiny objects are left out.

    Args:
        annotations (str): COCO, YOLO or Pascal VOC annotations, see
            :func:`soco_mm.coco.read_source`.
        images (str, optional): The folder of the images. Defaults to None,
            where the layout says.
        split (str): Which images, where ``annotations`` is of a whole data
            set. Defaults to train.
        classes (Sequence[str], optional): Names of the classes: for
            validation those of training. Defaults to None, those of the
            annotations that have objects, in their order.
        **kwargs: Other arguments of :class:`mmengine.dataset.BaseDataset`.

    Attributes:
        account (Account): What was left out or changed.
        turned (list[str]): Images that EXIF turns, whose sizes cannot tell
            if the boxes are turned with them.

    Raises:
        UsageError: If the annotations cannot be read, or have objects of
            other classes, of fewer than two classes or none.
        SoCoError: If they or an image cannot be used.
    """

    samples = 'objects'

    def __init__(
        self,
        annotations: str,
        images: str | None = None,
        split: str = 'train',
        classes: Sequence[str] | None = None,
        **kwargs,
    ) -> None:
        self.annotations = annotations
        self.crops = self._read(annotations, images, split)
        found = {name for _, _, name in self.crops}
        if classes is None:
            classes = [name for name in self.names if name in found]
            if len(classes) < 2:
                raise UsageError(
                    f'{annotations} has objects of {len(classes) or "no"} '
                    f'class{"" if len(classes) == 1 else "es"}. Give '
                    'annotations of at least two classes.'
                )
        unknown = sorted(found - set(classes))
        if unknown:
            more = len(unknown) - 1
            raise UsageError(
                f'{annotations} has objects of the class {unknown[0]}'
                f'{f" (and {more} more)" * bool(more)}, which the training '
                'annotations lack. Both must use the same class names.'
            )
        super().__init__(metainfo=dict(classes=list(classes)), **kwargs)

    def _read(self, path: str, images: str | None, split: str) -> list[tuple]:
        """Path of the image, box (x1, y1, x2, y2) and class of each object."""
        read = read_annotations(path, images, split=split, masks=False)
        self.names, self.account = read.classes, read.account
        self.turned = [read.images[key] for key in read.turned]
        crops = []
        for key, boxes in read.boxes.items():
            image = osp.join(read.root, read.images[key])
            for x, y, w, h, label in boxes:
                if min(w, h) < MIN_SIDE:
                    self.account.add(TINY, read.images[key])
                    continue
                corners = (round(each) for each in (x, y, x + w, y + h))
                crops.append((image, tuple(corners), read.classes[label]))
        if not crops:
            raise UsageError(
                f'{path} has no object to classify: it has {self.account.summary()}.'
            )
        return crops

    def load_data_list(self) -> list[dict]:
        """List the objects: ``img_path``, ``bbox`` and ``gt_label`` of each.

        ``bbox`` is x1, y1, x2, y2 in whole pixels, continuous.
        """
        labels = {name: index for index, name in enumerate(self.metainfo['classes'])}
        listed = [
            dict(img_path=path, bbox=box, gt_label=labels[name])
            for path, box, name in self.crops
        ]
        del self.crops  # the list is held serialised
        return listed
