"""Boxes of Segment Anything, MaskCut and CutLER."""

import json

import cv2
import numpy as np
import pytest

from soco_mm.proposals import ProposalStore
from soco_mm.proposals.box_files import read_box_file
from soco_mm.proposals.box_files.importing import import_proposals
from soco_mm.utils import UsageError


def mask(box, iou, **entry):
    """A mask as Segment Anything writes it for an image of 60x40."""
    return dict(
        segmentation=dict(size=[40, 60], counts='abc'),
        bbox=box,
        area=box[2] * box[3],
        predicted_iou=iou,
        stability_score=0.97,
        point_coords=[[3.0, 4.0]],
        crop_box=[0, 0, 60, 40],
        **entry,
    )


MASKS = [mask([0, 0, 30, 20], 0.99), mask([10, 10, 30, 25], 0.9)]
SA_1B = dict(
    image=dict(image_id=7, width=60, height=40, file_name='sa_7.jpg'),
    annotations=[dict(each, id=number) for number, each in enumerate(MASKS)],
)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / 'images'
    (folder / 'nested').mkdir(parents=True)
    for name in ('sa_7.jpg', 'nested/b.png'):
        cv2.imwrite(str(folder / name), np.full((40, 60, 3), 99, np.uint8))
    return folder


def save(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_a_folder_of_masks_is_imported_by_the_names_of_its_files(tmp_path, images):
    save(tmp_path / 'sam/sa_7.json', SA_1B)
    save(tmp_path / 'sam/b.json', MASKS[1:])  # the plain list of an image
    made = import_proposals(
        tmp_path / 'sam', tmp_path / 'store', images=images, filter_cfg=None
    )
    assert made.format == 'masks' and made.unmatched == made.by_tail == 0
    assert 'the masks of Segment Anything' in made.describe()
    store = ProposalStore.open(tmp_path / 'store')
    assert store['sa_7.jpg'].tolist() == [[0, 0, 30, 20], [10, 10, 40, 35]]
    assert store['nested/b.png'].tolist() == [[10, 10, 40, 35]]


def test_an_image_of_a_folder_may_have_no_masks(tmp_path, images):
    for name, content in (('a', MASKS), ('b', []), ('sa_7', SA_1B)):
        save(tmp_path / f'masks/{name}.json', content)
    (tmp_path / 'sam').mkdir()
    (tmp_path / 'sam/linked').symlink_to(tmp_path / 'masks')
    made = import_proposals(tmp_path / 'sam', tmp_path / 'store', images=images)
    assert made.without_boxes == 1 and made.first_unmatched == ['linked/a']
    store = ProposalStore.open(tmp_path / 'store')
    assert store['nested/b.png'].tolist() == [[0, 0, 60, 40]]
    save(tmp_path / 'none/b.json', [])
    with pytest.raises(UsageError, match='none has no box'):
        read_box_file(tmp_path / 'none')
    # With annotations it holds the results of no image.
    listing = save(tmp_path / 'photos.json', dict(images=[dict(id=3, file_name='a.b')]))
    save(tmp_path / 'none/a.json', [dict(image_id=3, bbox=[1, 2, 3, 4], score=1)])
    found = read_box_file(tmp_path / 'none', listing)
    assert (found.format, found.boxes) == ('coco_results', {'a.b': [[1, 2, 3, 4]]})


def test_names_of_images_may_hold_dots(tmp_path):
    images = tmp_path / 'images'
    images.mkdir()
    for number, name in enumerate(('scan', 'scan.v2', 'scan.v3', 'cat_jpg.rf.aa1')):
        cv2.imwrite(str(images / f'{name}.jpg'), np.zeros((40, 60, 3), np.uint8))
        masks = [mask([number, 0, 30, 20], 0.9)]
        content = dict(SA_1B, image=dict(file_name=f'{name}.jpg'), annotations=masks)
        suffix = '.jpg' * (name == 'scan.v3')
        save(
            tmp_path / f'sam/{name}{suffix}.json', content if name == 'scan' else masks
        )
    save(tmp_path / 'sam/none.v4.json', [])
    made = import_proposals(
        tmp_path / 'sam', tmp_path / 'store', images=images, filter_cfg=None
    )
    assert made.first_unmatched == ['none.v4'] and made.unnamed == 0
    store = ProposalStore.open(tmp_path / 'store')
    assert {path: store[path][0, 0] for path in store} == {
        'scan.jpg': 0,
        'scan.v2.jpg': 1,
        'scan.v3.jpg': 2,
        'cat_jpg.rf.aa1.jpg': 3,
    }


def test_masks_that_name_no_image_are_of_that_of_their_file(tmp_path):
    content = dict(image=dict(width=60, height=40), annotations=MASKS)
    for name, stem in (('scan.jpg', 'scan'), ('scan.v2', 'scan.v2')):
        found = read_box_file(save(tmp_path / f'{name}.json', content))
        assert list(found.boxes) == [stem]
    content['image']['file_name'] = 7
    with pytest.raises(UsageError, match='"file_name" must be text'):
        read_box_file(save(tmp_path / 'a.json', content))


def test_a_threshold_for_masks_without_scores_is_refused(tmp_path):
    path = save(tmp_path / 'a.json', [dict(bbox=[1, 2, 3, 4], stability_score=0.2)])
    with pytest.raises(UsageError, match='no scores. Leave --score-thr out'):
        read_box_file(path, score_thr=0.9)
    assert read_box_file(path).boxes == {'a': [[1, 2, 3, 4]]}


def test_the_threshold_is_of_the_predicted_iou(tmp_path):
    found = read_box_file(save(tmp_path / 'sa_7.json', SA_1B), score_thr=0.95)
    assert found.boxes == {'sa_7': [[0, 0, 30, 20]]}
    assert found.sizes == {'sa_7': (60, 40)}
    assert found.left_out == {'scored below 0.95': 1}


def test_masks_of_an_image_of_another_size_are_left_out(tmp_path, images):
    other = dict(SA_1B, image=dict(SA_1B['image'], width=80))
    save(tmp_path / 'sam/sa_7.json', other)
    save(tmp_path / 'sam/b.json', MASKS)
    made = import_proposals(tmp_path / 'sam', tmp_path / 'store', images=images)
    assert made.left_out == 1
    assert 'but its boxes are for 80x40' in made.describe()


def test_masks_that_were_made_on_a_resized_image_are_left_out(tmp_path, images):
    """Lists of masks have no size beside those of the masks."""
    save(tmp_path / 'sam/sa_7.json', MASKS)
    half = [dict(each, segmentation=dict(size=[20, 30], counts='a')) for each in MASKS]
    save(tmp_path / 'sam/b.json', half)
    made = import_proposals(tmp_path / 'sam', tmp_path / 'store', images=images)
    assert made.left_out == 1
    (failure,) = ProposalStore.open(tmp_path / 'store').failures()
    assert failure['image'] == 'nested/b.png'
    assert 'is 60x40 pixels large, but its boxes are for 30x20' in failure['reason']
    # A mask that is not kept says it as well, an odd one nothing.
    half[0]['segmentation'] = [[1, 2, 3, 4, 5, 6]]
    half[1]['predicted_iou'] = 0.1
    found = read_box_file(save(tmp_path / 'b.json', half), score_thr=0.5)
    assert found.sizes == {'b': (30, 20)}
    for odd in (dict(size=[0, 30]), dict(size=['20', 30]), dict(size=[20]), {}, None):
        content = [dict(MASKS[0], segmentation=odd)]
        assert read_box_file(save(tmp_path / 'b.json', content)).sizes == {}


def test_boxes_of_a_coco_json_without_sizes_are_of_the_size_of_their_masks(tmp_path):
    content = dict(
        images=[dict(id=1, file_name='a.png'), dict(id=2, file_name='b.png')],
        annotations=[dict(mask([1, 2, 3, 4], 1), id=1, image_id=1)],
        categories=[],
    )
    for id_ in (1, '1'):
        content['annotations'][0]['image_id'] = id_
        found = read_box_file(save(tmp_path / 'a.json', content))
        assert found.sizes == {'a.png': (60, 40)}


def test_exchanged_sides_of_maskcut_are_told_by_its_masks(tmp_path, images):
    """Several files whose ids start again, with file names of two parts."""
    for number, name in enumerate(('nested/b.png', 'sa_7.jpg')):
        content = dict(
            info=dict(description='ImageNet-1K: pseudo-masks with MaskCut'),
            images=[dict(id=1, file_name=name, width=40, height=60)],
            categories=[dict(id=1, name='fg')],
            annotations=[
                dict(
                    id=1,
                    image_id=1,
                    category_id=1,
                    iscrowd=0,
                    bbox=[5.0, 5.0, 40.0 + number, 30.0],
                    segmentation=dict(size=[40, 60], counts='abc'),
                )
            ],
        )
        save(tmp_path / f'maskcut/N3_{number}_{number + 1}.json', content)
    made = import_proposals(tmp_path / 'maskcut', tmp_path / 'store', images=images)
    assert (made.images, made.left_out, made.format) == (2, 0, 'coco')
    store = ProposalStore.open(tmp_path / 'store')
    assert store['nested/b.png'].tolist() == [[5, 5, 45, 35]]
    assert store['sa_7.jpg'].tolist() == [[5, 5, 46, 35]]


def test_scores_of_cutler_are_those_of_coco_results(tmp_path, images):
    listing = dict(images=[dict(id=3, file_name='sa_7.jpg', width=60, height=40)])
    results = [
        dict(image_id=3, category_id=1, bbox=[1.5, 2, 30, 20], score=0.7),
        dict(image_id=3, category_id=1, bbox=[9, 9, 30, 20], score=0.1),
    ]
    made = import_proposals(
        save(tmp_path / 'coco_instances_results.json', results),
        tmp_path / 'store',
        images=images,
        annotations=save(tmp_path / 'photos.json', listing),
        score_thr=0.35,
    )
    assert made.left_out_boxes == {'scored below 0.35': 1}
    store = ProposalStore.open(tmp_path / 'store')
    assert store['sa_7.jpg'].tolist() == [[1.5, 2, 31.5, 22]]


@pytest.mark.parametrize(
    'files, words',
    [
        ({}, 'holds no .json file'),
        ({'a': MASKS, 'b': {'a': [[1, 2, 3, 4]]}}, 'different layouts'),
        ({'a': dict(SA_1B, annotations=3)}, '"annotations" a list'),
        ({'a': [dict(predicted_iou=1)]}, 'mask 0 .from 0. has no "bbox"'),
        (
            {
                'a': SA_1B,
                'b': dict(SA_1B, image=dict(SA_1B['image'], width=9)),
            },
            'different sizes of the image sa_7',
        ),
    ],
)
def test_other_folders_are_refused(tmp_path, files, words):
    (tmp_path / 'folder').mkdir()
    for name, content in files.items():
        save(tmp_path / f'folder/{name}.json', content)
    with pytest.raises(UsageError, match=words):
        read_box_file(tmp_path / 'folder')
    save(tmp_path / 'one.json', MASKS)
    with pytest.raises(UsageError, match='Leave it out'):
        read_box_file(tmp_path / 'one.json', tmp_path / 'ann.json')


def test_masks_of_images_with_the_same_name_are_matched_by_their_folders(tmp_path):
    photos, masks = tmp_path / 'photos', tmp_path / 'sam/masks'
    boxes = dict(train=[1, 1, 20, 20], val=[5, 5, 30, 30])
    for split, box in boxes.items():
        (photos / split).mkdir(parents=True)
        cv2.imwrite(str(photos / split / '1.jpg'), np.full((40, 60, 3), 99, np.uint8))
        save(masks / split / '1.json', [mask(box, 0.9)])

    def imported(masks, images, name='store'):
        out = tmp_path / name
        import_proposals(masks, out, images=images, filter_cfg=None, overwrite=True)
        store = ProposalStore.open(out)
        return {path: store[path].tolist() for path in store}

    assert imported(masks, photos) == {
        'train/1.jpg': [[1, 1, 21, 21]],
        'val/1.jpg': [[5, 5, 35, 35]],
    }
    # Images in a folder of which the masks know more, or less.
    assert imported(masks.parent, photos).keys() == {
        'train/1.jpg',
        'val/1.jpg',
    }
    assert imported(masks / 'val', photos / 'val') == {'1.jpg': [[5, 5, 35, 35]]}
    with pytest.raises(
        UsageError, match='train/1 and val/1 in .* could be of 1.jpg in .*photos/train'
    ):
        imported(masks, photos / 'train')
    save(tmp_path / 'flat/1.json', [mask([1, 1, 20, 20], 0.9)])
    with pytest.raises(UsageError, match='differ only in folder and suffix'):
        imported(tmp_path / 'flat', photos)
