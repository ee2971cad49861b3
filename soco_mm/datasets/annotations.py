"""COCO annotations with which a detector is trained."""
from pathlib import Path
from typing import Dict, List, NamedTuple, Union

from PIL import Image

from soco_mm.utils import SoCoError, UsageError, read_json


class Annotations(NamedTuple):
    """What a COCO json holds.

    Attributes:
        path (Path): The file.
        root (Path): The folder of the images.
        classes (tuple[str]): Names of the categories, in the file's order,
            in which MMDetection numbers them.
        images (dict[int, str]): File names by id.
        boxes (dict[int, list]): For each image with objects, (x, y, w, h,
            index of the class) in pixels; crowds are left out.
        masks (bool): Whether all objects have a segmentation.
    """
    path: Path
    root: Path
    classes: tuple
    images: Dict[int, str]
    boxes: Dict[int, List[tuple]]
    masks: bool

    @property
    def num_boxes(self) -> int:
        """Number of objects."""
        return sum(map(len, self.boxes.values()))


def read_annotations(path: Union[str, Path], root: Union[str,
                                                         Path]) -> Annotations:
    """Read a COCO json and see that a detector can be trained with it.

    Args:
        path (str | Path): The file.
        root (str | Path): The folder that its file names are relative to.

    Returns:
        Annotations: What it holds.

    Raises:
        UsageError: If the file is not a COCO json, or there is no such
            folder.
        SoCoError: If it has no object, two categories of one name, or objects
            of which some alone have masks; or an image is missing or cannot
            be opened.
    """
    path, root = Path(path), Path(root)
    if not root.is_dir():
        raise UsageError(f'There is no folder {root}. Name the folder of the '
                         f'images of {path}.')
    content = read_json(path)
    try:
        ids = [category['id'] for category in content['categories']]
        classes = tuple(
            str(category['name']) for category in content['categories'])
        images = {image['id']: image['file_name']
                  for image in content['images']}
        boxes, with_mask = {}, []
        for each in content['annotations']:
            if each.get('iscrowd'):
                continue
            x, y, width, height = map(float, each['bbox'])
            index = ids.index(each['category_id'])
            images[each['image_id']]
            boxes.setdefault(each['image_id'], []).append(
                (x, y, width, height, index))
            with_mask.append(bool(each.get('segmentation')))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f'{path} is not a COCO json with "images" (id, file_name), '
            '"categories" (id, name) and "annotations" (image_id, category_id,'
            f' bbox of four numbers): {type(error).__name__} {error}.'
        ) from None
    if not boxes:
        raise SoCoError(f'{path} has no object on any image.')
    twice = {name for name in classes if classes.count(name) > 1}
    if twice:
        raise SoCoError(f'{path} has two categories of the name '
                        f'{sorted(twice)[0]}. Give each its own.')
    if any(with_mask) and not all(with_mask):
        raise SoCoError(
            f'In {path} {with_mask.count(False)} of {len(with_mask)} objects '
            'have no segmentation. Give all of them one, or none.')
    check_images(path, root, images.values())
    return Annotations(path, root, classes, images, boxes, all(with_mask))


def check_images(path: Path, root: Path, names) -> None:
    """Open all images, without decoding them.

    Raises:
        SoCoError: If one cannot be opened.
    """
    bad = []
    for name in names:
        try:
            with Image.open(root / name):
                pass
        except (OSError, Image.DecompressionBombError) as error:
            missing = isinstance(error, FileNotFoundError)
            bad.append((root / name,
                        'missing' if missing else 'damaged or not an image'))
    if bad:
        others = f', and {len(bad) - 1} more' if len(bad) > 1 else ''
        raise SoCoError(f'{path} names {bad[0][0]}, which is {bad[0][1]}'
                        f'{others}. Mend the images or take them out of the '
                        'file.')


def check_same_classes(train: Annotations, val: Annotations) -> None:
    """Refuse annotations of other classes than those of the training.

    Raises:
        SoCoError: If classes or their order differ.
    """
    if train.classes == val.classes:
        return
    differing = sorted(set(train.classes) ^ set(val.classes))
    reason = (f'{differing[0]} is in one of them alone'
              if differing else 'their order differs')
    raise SoCoError(f'{train.path} and {val.path} have not the same '
                    f'categories: {reason}. Give both the same list.')
