"""COCO annotations with which a detector is trained."""
import json
import math
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Union

import numpy as np
from PIL import ExifTags, Image
from pycocotools import mask as mask_tools

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
            index of the class) in pixels; without crowds and what MMDetection
            drops: ignored objects and invisible boxes.
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
    and ``iscrowd`` of objects, and the masks of crowds.

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
        check_structure(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f'{path} is not a COCO json with "images" (id, file_name), '
            '"categories" (id, name) and "annotations" (image_id, category_id,'
            f' bbox of four numbers): {type(error).__name__} {error}.'
        ) from None
    classes = tuple(each['name'] for each in content['categories'])
    twice = {name for name in classes if classes.count(name) > 1}
    if twice:
        raise SoCoError(f'{path} has two categories of the name '
                        f'{sorted(twice)[0]}. Give each its own.')
    complete_images(path, root, content['images'])
    complete_objects(content['annotations'], content['images'])
    boxes, masks = gather_objects(path, content)
    images = {each['id']: each['file_name'] for each in content['images']}
    return Annotations(path, root, classes, images, boxes, masks, content)


def check_structure(content: dict) -> None:
    """See that all that is needed is there, and of one kind; in place.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: If it is not.
    """
    for key in ('images', 'categories'):
        ids = [each['id'] for each in content[key]]
        if len(set(ids)) < len(ids):
            raise ValueError(f'two {key} have the same id')
    for each in content['categories']:
        each['name'] = str(each['name'])
    images = {each['id'] for each in content['images']}
    categories = {each['id'] for each in content['categories']}
    for each in content['images']:
        if not isinstance(each['file_name'], str):
            raise TypeError(f'file_name {each["file_name"]!r}')
    for each in content['annotations']:
        x, y, width, height = map(float, each['bbox'])
        each['bbox'] = [x, y, width, height]
        if not all(map(math.isfinite, each['bbox'])):
            raise ValueError(f'bbox {each["bbox"]}')
        if each['image_id'] not in images:
            raise ValueError(f'there is no image {each["image_id"]!r}')
        if each['category_id'] not in categories:
            raise ValueError(f'there is no category {each["category_id"]!r}')


def gather_objects(path: Path, content: dict) -> tuple:
    """The objects with which a detector is trained; masks are made complete.

    Returns:
        tuple: Boxes by image as in :class:`Annotations`, and whether the
        objects have masks.

    Raises:
        SoCoError: If there is no object, or some alone have masks.
    """
    sizes = {
        each['id']: (each['width'], each['height'])
        for each in content['images']
    }
    ids = [each['id'] for each in content['categories']]
    boxes, with_mask, dropped = {}, [], 0
    for each in content['annotations']:
        if each['iscrowd'] or each.get('ignore'):
            continue
        # MMDetection drops these too.
        if not is_visible(each['bbox'], *sizes[each['image_id']]):
            dropped += 1
            continue
        boxes.setdefault(each['image_id'], []).append(
            (*each['bbox'], ids.index(each['category_id'])))
        with_mask.append('segmentation' in each)
    if not boxes:
        reason = (f': {dropped} are outside of their image or have a side of '
                  'less than a pixel. Boxes are x, y, width and height, in '
                  'pixels' if dropped else '')
        raise SoCoError(f'{path} has no object on any image{reason}.')
    if any(with_mask) and not all(with_mask):
        raise SoCoError(
            f'In {path} {with_mask.count(False)} of {len(with_mask)} objects '
            'have no segmentation, which is polygons of three or more points, '
            "or RLE of the image's size. Give all of them one, or none.")
    if all(with_mask):
        for each in content['annotations']:
            x, y, w, h = each['bbox']
            # Of crowds, and of objects that are not trained with.
            each.setdefault('segmentation',
                            [[x, y, x + w, y, x + w, y + h, x, y + h]])
    return boxes, all(with_mask)


def is_visible(box: Sequence[float], width: int, height: int) -> bool:
    """Whether (x, y, w, h) has sides of a pixel and overlaps its image."""
    x, y, w, h = box
    return (w >= 1 and h >= 1 and min(x + w, width) > max(x, 0)
            and min(y + h, height) > max(y, 0))


def complete_images(path: Path, root: Path, images: List[dict]) -> None:
    """Open all images, without decoding them, and note their sizes.

    Raises:
        SoCoError: If one cannot be opened, or has another size.
    """
    bad = []
    mend = 'Mend the images or take them out of the file.'
    turn = ('Remove the orientation from the image file, or annotate the '
            'turned photo.')
    for each in images:
        name = root / each['file_name']
        try:
            size, turned = image_size(name)
        except FileNotFoundError:
            bad.append((f'{name}, which is missing', mend))
            continue
        except (OSError, Image.DecompressionBombError):
            bad.append((f'{name}, which is damaged or not an image', mend))
            continue
        noted = each.get('width'), each.get('height')
        if None in noted:
            noted = each['width'], each['height'] = size
        text = f'{name} with {noted[0]}x{noted[1]} pixels, but '
        # MMCV turns the pixels, and the boxes would not be turned with them.
        if turned and noted == size[::-1] != size:
            bad.append((f'{text}a camera noted (EXIF) that it is to be turned '
                        f'to {size[0]}x{size[1]}', turn))
        elif noted != size:
            bad.append((f'{text}it has {size[0]}x{size[1]}', mend))
    if bad:
        (text, advice), *others = bad
        more = f', and {len(others)} more such' if others else ''
        raise SoCoError(f'{path} names {text}{more}. {advice}')


def image_size(path: Path) -> tuple:
    """Width and height of an image as it is shown; and if EXIF turns it."""
    with Image.open(path) as image:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return image.size[::-1] if turned else image.size, turned


def complete_objects(annotations: List[dict], images: List[dict]) -> None:
    """Fill in and mend what MMDetection reads of an object; in place."""
    sizes = {each['id']: [each['height'], each['width']] for each in images}
    ids = [each.get('id') for each in annotations]
    # To pycocotools an object of the id 0 is one that is never found.
    valid = all(type(each) is int and each > 0 for each in ids)
    renumber = not valid or len(set(ids)) < len(ids)
    for number, each in enumerate(annotations, 1):
        if renumber:
            each['id'] = number
        each['iscrowd'] = int(bool(each.get('iscrowd')))
        # MMDetection drops objects without an area.
        area = each.get('area')
        if not isinstance(area, (int, float)) or not area > 0:
            each['area'] = each['bbox'][2] * each['bbox'][3]
        mask = valid_mask(
            each.pop('segmentation', None), sizes[each['image_id']])
        if mask:
            each['segmentation'] = mask


def valid_mask(mask, size: List[int]) -> Union[list, dict, None]:
    """What of a segmentation is one: polygons of three points, or RLE.

    Args:
        mask: What the file holds.
        size (list[int]): Height and width of the image.

    Returns:
        list | dict | None: What of it can be trained with, if anything.
    """
    if isinstance(mask, dict):
        return mask if is_rle(mask, size) else None
    if not isinstance(mask, list):
        return None
    polygons = [
        each for each in mask if isinstance(each, list) and len(each) >= 6
        and len(each) % 2 == 0
    ]
    # Without the one that is damaged, a part of the object would be missing.
    numbers = (value for each in polygons for value in each)
    return polygons if all(map(is_finite, numbers)) else None


def is_finite(value) -> bool:
    """Whether a value is a number that is neither infinite nor NaN."""
    return type(value) in (int, float) and abs(value) < math.inf


def is_rle(mask: dict, size: List[int]) -> bool:
    """Whether a mask is RLE of an image of this height and width.

    pycocotools fills an image up with whatever is in memory if the runs are
    too short.
    """
    runs = mask.get('counts')
    if isinstance(runs, str):
        runs = run_lengths(runs)
    return (mask.get('size') == size and isinstance(runs, list)
            and all(type(each) is int and each >= 0 for each in runs)
            and sum(runs) == size[0] * size[1])


def decode_mask(mask: Union[list, dict], height: int,
                width: int) -> np.ndarray:
    """The pixels of an object, of polygons or RLE, (height, width), uint8."""
    if isinstance(mask, list):
        mask = mask_tools.merge(mask_tools.frPyObjects(mask, height, width))
    elif isinstance(mask['counts'], list):
        mask = mask_tools.frPyObjects(mask, height, width)
    return mask_tools.decode(mask)


def run_lengths(counts: str) -> List[int]:
    """Read a compressed RLE as pycocotools does.

    Each character holds five bits of a number and if there are more of it.
    The numbers are lengths of runs, from the fourth on less that of the last
    but one.

    Returns:
        list[int]: The runs, alternately outside and inside of the object;
        none if it is not an RLE.
    """
    runs = []
    value = shift = 0
    for byte in counts.encode():
        bits = byte - 48
        if not 0 <= bits < 64:
            return []
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return [] if shift else runs


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
