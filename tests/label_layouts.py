"""COCO annotations written in other layouts."""

import shutil
from xml.sax.saxutils import escape


def write_yolo(folder, content, images, split='train', polygons=False):
    """A copy of COCO annotations in the layout of Ultralytics."""
    ids = [each['id'] for each in content['categories']]
    for image in content['images']:
        w, h = image['width'], image['height']
        place = folder / 'images' / split / image['file_name']
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(images / image['file_name'], place)
        lines = []
        for each in content['annotations']:
            if each['image_id'] != image['id']:
                continue
            x, y, bw, bh = each['bbox']
            values = [(x + bw / 2) / w, (y + bh / 2) / h, bw / w, bh / h]
            if polygons:
                (points,) = each['segmentation']
                values = [value / (w, h)[i % 2] for i, value in enumerate(points)]
            lines.append(' '.join(map(repr, [ids.index(each['category_id']), *values])))
        text = folder / 'labels' / split / place.with_suffix('.txt').name
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(''.join(f'{line}\n' for line in lines))


def names_of(content):
    return 'names:\n' + ''.join(
        f'  - {each["name"]}\n' for each in content['categories']
    )


def write_voc(root, content, images, split='train'):
    """A copy of COCO annotations in the layout of Pascal VOC."""
    names = {each['id']: each['name'] for each in content['categories']}
    between = [any(x % 1 for x in each['bbox']) for each in content['annotations']]
    # Pixels from 1, and both corners inside; or, as CVAT, points between pixels.
    first = int(2 * sum(between) <= len(between))
    for folder in ('Annotations', 'JPEGImages', 'ImageSets/Main'):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for image in content['images']:
        shutil.copy(images / image['file_name'], root / 'JPEGImages')
        objects = ''
        for each in content['annotations']:
            if each['image_id'] == image['id']:
                x, y, w, h = each['bbox']
                objects += object_of(
                    names[each['category_id']], (x + first, y + first, x + w, y + h)
                )
        path = root / 'Annotations' / image['file_name']
        path.with_suffix('.xml').write_text(
            xml_of(image['file_name'], image['width'], image['height'], objects)
        )
    (root / f'ImageSets/Main/{split}.txt').write_text(
        ''.join(
            f'{each["file_name"].rpartition(".")[0]}\n' for each in content['images']
        )
    )


def object_of(name, corners, more=''):
    box = ''.join(
        f'<{tag}>{value!r}</{tag}>\n'
        for tag, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), corners)
    )
    return (
        f'<object>\n<name>{escape(name)}</name>\n{more}'
        f'<bndbox>\n{box}</bndbox>\n</object>\n'
    )


def xml_of(name, width=40, height=20, objects=''):
    return (
        f'<annotation>\n<filename>{name}</filename>\n<size>\n<width>'
        f'{width}</width>\n<height>{height}</height>\n</size>\n'
        f'{objects}</annotation>\n'
    )
