import json

import cv2
import numpy as np
import pytest

from soco_mm.evaluation import LoadRGBImage, ObjectCrops
from soco_mm.utils import UsageError


@pytest.fixture
def write(tmp_path):
    """An image of 40x30 pixels, of which each is different."""
    image = np.arange(40 * 30 * 3, dtype=np.uint16) % 251
    image = image.astype(np.uint8).reshape(30, 40, 3)
    cv2.imwrite(str(tmp_path / 'a.png'), image)

    def annotate(*objects, names=('nut', 'bolt', 'washer')):
        content = dict(
            images=[dict(id=1, file_name='a.png')],
            categories=[dict(id=i, name=name) for i, name in enumerate(names)],
            annotations=[
                dict(dict(image_id=1, category_id=category, bbox=box), **more)
                for category, box, more in objects
            ],
        )
        (tmp_path / 'a.json').write_text(json.dumps(content))
        return dict(annotations=str(tmp_path / 'a.json'), images=str(tmp_path))

    return annotate


def test_objects_are_crops_of_their_clipped_boxes(write, tmp_path):
    known = write((2, [30.4, 20.6, 20, 20], {}), (0, [1, 2, 8, 9.4], {}))
    data = ObjectCrops(**known, pipeline=[LoadRGBImage()], test_mode=True)
    image = cv2.cvtColor(cv2.imread(str(tmp_path / 'a.png')), cv2.COLOR_BGR2RGB)
    assert data.metainfo['classes'] == ['nut', 'washer']
    assert [data.get_data_info(i)['gt_label'] for i in range(len(data))] == [1, 0]
    first, second = data
    assert (first['img'] == image[21:30, 30:40]).all()
    assert (second['img'] == image[2:11, 1:9]).all()
    assert first['img_shape'] == first['ori_shape'] == (9, 10)
    # A transform may write into it.
    first['img'][:] = 0
    assert (data[0]['img'] == image[21:30, 30:40]).all()


def test_validation_has_the_numbers_of_training(write):
    known = write((2, [3, 2, 20, 20], {}))
    data = ObjectCrops(**known, classes=['bolt', 'washer'])
    assert [data.get_data_info(i)['gt_label'] for i in range(len(data))] == [1]
    with pytest.raises(
        UsageError,
        match='has objects of the class washer, which the training annotations lack',
    ):
        ObjectCrops(**known, classes=['bolt'])
    with pytest.raises(UsageError, match='has objects of 1 class. Give'):
        ObjectCrops(**known)


def test_what_is_no_sample_is_counted(write):
    box = [3, 2, 20, 20]
    data = ObjectCrops(
        **write(
            (0, box, {}),
            (1, box, {}),
            (1, box, dict(iscrowd=1)),
            (1, box, dict(ignore='true')),
            (1, [3, 2, 20, 7.9], {}),
            (1, [50, 2, 20, 20], {}),
        )
    )
    assert len(data) == 2
    assert [line.split(':')[0] for line in data.account.lines()] == [
        '1 crowd',
        '1 ignored object',
        '1 invisible object',
        '1 tiny object',
    ]
    with pytest.raises(
        UsageError, match='has no object to classify: it has 2 tiny objects'
    ):
        ObjectCrops(**write((0, [3, 2, 7, 7], {}), (1, [3, 2, 7, 9], {})))


def test_masks_are_not_looked_at(write):
    box, line = [3, 2, 20, 20], [[1, 1, 5, 5]]
    triangle = [[3, 2, 23, 2, 23, 22]]
    for first, second in ((line, line), (line, triangle), (triangle, None)):
        data = ObjectCrops(
            **write(
                (0, box, dict(segmentation=first)), (1, box, dict(segmentation=second))
            )
        )
        assert len(data) == 2 and not data.account.counts
