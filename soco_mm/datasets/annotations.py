"""COCO annotations with which a detector is trained."""
import json
from pathlib import Path
from typing import Dict, List, NamedTuple, Union

from PIL import ExifTags, Image

from soco_mm.utils import SoCoError, UsageError, atomic_stream, read_json


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
        content (dict): The file itself, with all that MMDetection expects.
    """
    path: Path
    root: Path
    classes: tuple
    images: Dict[int, str]
    boxes: Dict[int, List[tuple]]
    masks: bool
    content: dict

    @property
    def num_boxes(self) -> int:
        """Number of objects."""
        return sum(map(len, self.boxes.values()))


def read_annotations(path: Union[str, Path], root: Union[str,
                                                         Path]) -> Annotations:
    """Read a COCO json and see that a detector can be trained with it.

    What tools often leave out is filled in: sizes of images, and ids, areas
    and ``iscrowd`` of objects.

    Args:
        path (str | Path): The file.
        root (str | Path): The folder that its file names are relative to.

    Returns:
        Annotations: What it holds.

    Raises:
        UsageError: If the file is not a COCO json, or there is no such
            folder.
        SoCoError: If it has no object, two categories of one name, or objects
            of which some alone have masks; or an image is missing, cannot be
            opened, or has another size than the file says.
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
    complete_images(path, root, content['images'])
    complete_objects(content['annotations'])
    return Annotations(path, root, classes, images, boxes, all(with_mask),
                       content)


def complete_images(path: Path, root: Path, images: List[dict]) -> None:
    """Open all images, without decoding them, and note their sizes.

    Raises:
        SoCoError: If one cannot be opened, or has another size.
    """
    bad = []
    for each in images:
        name = root / each['file_name']
        try:
            size = image_size(name)
        except FileNotFoundError:
            bad.append(f'{name}, which is missing')
            continue
        except (OSError, Image.DecompressionBombError):
            bad.append(f'{name}, which is damaged or not an image')
            continue
        noted = each.setdefault('width', size[0]), each.setdefault(
            'height', size[1])
        # Tools disagree on which side is which of a photo that is turned.
        if sorted(noted) != sorted(size):
            bad.append(f'{name} with {noted[0]}x{noted[1]} pixels, but it has '
                       f'{size[0]}x{size[1]}')
    if bad:
        others = f', and {len(bad) - 1} more such' if len(bad) > 1 else ''
        raise SoCoError(f'{path} names {bad[0]}{others}. Mend the images or '
                        'take them out of the file.')


def image_size(path: Path) -> tuple:
    """Width and height of an image as it is shown (EXIF)."""
    with Image.open(path) as image:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return image.size[::-1] if turned else image.size


def complete_objects(annotations: List[dict]) -> None:
    """Fill in what MMDetection reads of an object; in place."""
    ids = {each.get('id') for each in annotations}
    renumber = None in ids or len(ids) < len(annotations)
    for number, each in enumerate(annotations, 1):
        if renumber:
            each['id'] = number
        each.setdefault('iscrowd', 0)
        # MMDetection drops objects without an area.
        if not each.get('area', 0) > 0:
            each['area'] = each['bbox'][2] * each['bbox'][3]


def write_annotations(annotations: Annotations) -> None:
    """Write annotations, with all that was filled in, to their path."""
    with atomic_stream(annotations.path) as stream:
        json.dump(annotations.content, stream)


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
