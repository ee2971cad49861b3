import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from label_layouts import names_of, write_voc, write_yolo

from soco_mm.proposals import (
    ProposalFilter,
    ProposalStore,
    build_settings,
    make_proposals,
    merge_proposals,
)
from soco_mm.proposals.annotated import read_shapes
from soco_mm.proposals.fitting import derive_settings, explain_fit, fit_settings
from soco_mm.proposals.listing import ImageSet, list_input
from soco_mm.proposals.recall import overlaps
from soco_mm.utils import SoCoError, UsageError

NO_IMAGES = ImageSet('nowhere', [])


def annotate(path, boxes, size=(640, 480), **entry):
    """A COCO json of one image and its boxes, x y w h."""
    image = dict(id=1, file_name='a.png')
    if size:
        image.update(width=size[0], height=size[1])
    path.write_text(
        json.dumps(
            dict(
                images=[image],
                categories=[dict(id=1, name='thing')],
                annotations=[
                    dict(id=number, image_id=1, category_id=1, bbox=box, **entry)
                    for number, box in enumerate(boxes, 1)
                ],
            )
        )
    )
    return path


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / 'photos'
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (4, 60, 80, 3), np.uint8)
    for name, image in zip('abcd', noise):
        image[20:40, 30:60] = 255
        cv2.imwrite(str(folder / f'{name}.png'), image)
    return folder


def test_nine_tenths_of_the_objects_can_be_found_by_what_is_kept():
    """A box that is kept and has an IoU of 0.5, whatever its own shape."""
    rng = np.random.default_rng(0)
    sizes = np.tile([640, 480], (400, 1))
    sides = np.exp(rng.normal(np.log(60), 0.4, (400, 2)))
    start = rng.uniform(0, 100, (400, 2))
    boxes = np.concatenate([start, start + sides], 1)
    values = derive_settings(boxes, sizes).values
    keep = ProposalFilter(values['max_aspect'], values['size_range'])
    kept = [keep(box[None], 640, 480)[1] == 0 for box in boxes]
    assert np.mean(kept) > 0.9
    # Twice or half as large, by one side, at the same place: an IoU of 0.5.
    inner = kept & (np.random.default_rng(1).random(400) < 0.9)
    found = []
    for box in boxes[inner]:
        grown = np.array([*box[:2], *(box[:2] + (box[2:] - box[:2]) * 2**0.5)])
        assert overlaps(box[None], grown[None]) == pytest.approx(0.5)
        found.append(keep(grown[None], 640, 480)[1] == 0)
    assert np.mean(found) > 0.9


def test_small_objects_have_twelve_pixels_and_segments_of_that_size():
    sizes = np.array([[2000, 1000]] * 10)
    boxes = np.array([[100, 100, 160, 160]] * 10)
    values = derive_settings(boxes, sizes).values
    assert values['max_side'] == 400  # 60 / 2000 * 400 = 12
    assert values['scale'] == 35  # 0.25 * 12 * 12 = 36, in steps of 5
    assert derive_settings(boxes, sizes, 800).values['scale'] == 100  # 144
    assert derive_settings(boxes // 4, sizes).values['max_side'] == 640  # at most
    large = derive_settings(boxes * [1, 1, 8, 5], sizes).values
    assert large['max_side'] == 160 and large['scale'] == 100  # at least, at most
    tiny = derive_settings(boxes / 10, sizes / 10).values
    assert tiny['max_side'] == 200  # no image is enlarged


def test_one_box_is_enough_and_is_called_a_guess(tmp_path):
    path = annotate(tmp_path / 'ann.json', [[10, 10, 96, 64]])
    settings = fit_settings(path, NO_IMAGES)
    low, high = settings['filter']['size_range']
    assert low < (96 * 64 / 640 / 480) ** 0.5 < high
    assert settings['derived']['objects'] == settings['derived']['images'] == 1
    text = '\n'.join(explain_fit(settings))
    assert 'Fitted to 1 annotated object on 1 image of ann.json' in text
    assert 'annotate 20 or more' in text
    for flag in ('--size-range', '--max-aspect', '--max-side', '--scale'):
        assert f'{flag} ' in text


def test_what_is_given_is_not_derived(tmp_path):
    path = annotate(tmp_path / 'ann.json', [[10, 10, 30, 20]] * 30)
    free = fit_settings(path, NO_IMAGES)
    settings = fit_settings(path, NO_IMAGES, scale=400, size_range=(0.2, 0.3), sigma=2)
    assert settings['generator']['scale'] == 400
    assert settings['generator']['sigma'] == 2
    assert settings['filter']['size_range'] == (0.2, 0.3)
    assert settings['generator']['max_side'] == free['generator']['max_side']
    assert set(settings['derived']['reasons']) == {'max_aspect', 'max_side'}
    random = fit_settings(path, NO_IMAGES, method='random')
    assert random['generator']['size_range'] == free['filter']['size_range']
    assert explain_fit(random)[1].startswith('  --size-range ')
    with pytest.raises(UsageError, match='derives nothing for --method whole'):
        fit_settings(path, NO_IMAGES, method='whole')


@pytest.mark.parametrize(
    'boxes, entry, words',
    [
        ([], {}, 'has no object to fit the proposals to. Give'),
        ([[1, 2, 30, 40]], dict(iscrowd=1), 'it has 1 crowd'),
        ([[1, 2, 0, 40], [900, 2, 5, 5]], {}, 'it has 2 invisible objects'),
    ],
)
def test_annotations_without_usable_boxes_are_refused(tmp_path, boxes, entry, words):
    path = annotate(tmp_path / 'ann.json', boxes, **entry)
    with pytest.raises(UsageError, match=words):
        fit_settings(path, NO_IMAGES)


def test_objects_on_images_of_another_size_are_left_out_and_counted(tmp_path, photos):
    content = dict(
        images=[
            dict(id=1, file_name='a.png', width=80, height=60),
            dict(id=2, file_name='b.png', width=100, height=100),
            dict(id=3, file_name='elsewhere.png', width=640, height=480),
            dict(id=4, file_name='unknown.png'),
        ],
        categories=[dict(id=1, name='thing')],
        annotations=[
            dict(id=number, image_id=image, category_id=1, bbox=box)
            for number, (image, box) in enumerate(
                [
                    (1, [10, 10, 30, 20]),
                    (1, [60, 10, 30, 20]),
                    (2, [10, 10, 30, 20]),
                    (3, [10, 10, 300, 200]),
                    (4, [10, 10, 30, 20]),
                ]
            )
        ],
    )
    path = tmp_path / 'ann.json'
    path.write_text(json.dumps(content))
    boxes, sizes, number, _ = read_shapes(path, list_input(photos))
    assert boxes.tolist() == [[10, 10, 40, 30], [60, 10, 80, 30], [10, 10, 310, 210]]
    assert sizes.tolist() == [[80, 60], [80, 60], [640, 480]] and number == 2
    text = '\n'.join(explain_fit(fit_settings(path, list_input(photos))))
    for line in (
        '1 object on an image of another size than annotated: left out',
        '1 object on an image of unknown size: left out',
        '1 box that reaches out of its image: clipped',
    ):
        assert line in text
    content['annotations'] = content['annotations'][2:3]
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match='it has 1 object on an image of another size'):
        read_shapes(path, list_input(photos))


def test_boxes_that_are_not_in_pixels_are_refused(tmp_path):
    path = annotate(tmp_path / 'ann.json', [[0.1, 0.2, 0.3, 0.4]])
    with pytest.raises(SoCoError, match='look normalised'):
        fit_settings(path, NO_IMAGES)


def test_sizes_that_are_not_annotated_are_those_of_the_images(tmp_path, photos):
    path = annotate(tmp_path / 'ann.json', [[1, 2, 30, 40]], size=None)
    _, sizes, *_ = read_shapes(path, list_input(photos.parent))
    assert sizes.tolist() == [[80, 60]]
    with pytest.raises(UsageError, match='does not say how large its images are'):
        read_shapes(path, NO_IMAGES)


def test_sizes_are_not_those_of_an_image_that_two_names_fit(tmp_path, photos):
    path = annotate(tmp_path / 'ann.json', [[1, 2, 30, 40]], size=None)
    content = json.loads(path.read_text())
    for number, name in enumerate(('cam1/a.png', 'cam2/a.png'), 1):
        content['images'][number - 1 :] = [dict(id=number, file_name=name)]
        content['annotations'][number - 1 :] = [
            dict(id=number, image_id=number, category_id=1, bbox=[1, 2, 30, 40])
        ]
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match='does not say how large its images are'):
        read_shapes(path, list_input(photos))


def test_all_layouts_give_the_same_settings(tmp_path, demo_images):
    content = json.loads((demo_images.parent / 'instances.json').read_text())
    for each in content['annotations']:
        each.pop('segmentation')
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(content))
    write_yolo(tmp_path / 'yolo', content, demo_images, 'train')
    write_voc(tmp_path / 'voc', content, demo_images, 'train')
    names = 'train: images/train\nval: images/train\n' + names_of(content)
    (tmp_path / 'yolo/data.yaml').write_text(names)
    wanted = fit_settings(path, NO_IMAGES)
    for name in ('yolo/data.yaml', 'voc'):
        found = fit_settings(tmp_path / name, NO_IMAGES)
        assert found['generator'] == wanted['generator']
        assert found['filter'] == wanted['filter']


def test_the_header_says_what_was_derived_and_a_rerun_keeps_the_boxes(tmp_path, photos):
    path = annotate(tmp_path / 'ann.json', [[10, 10, 30, 20]] * 5, (80, 60))
    images, out = list_input(photos), tmp_path / 'store'
    settings = fit_settings(path, images)
    make_proposals(images, out, settings=settings, num_workers=1)
    header = ProposalStore.open(out).header
    assert header['derived'] == settings['derived']
    assert explain_fit(header) == explain_fit(settings)
    before = (out / 'header.json').read_bytes()
    # More annotations of the same shapes, or the same settings by hand.
    annotate(path, [[10, 10, 30, 20]] * 30, (80, 60))
    for again in (
        fit_settings(path, images),
        {key: each for key, each in settings.items() if key != 'derived'},
    ):
        made = make_proposals(images, out, settings=again, num_workers=1)
        assert made.kept == 4
        assert (out / 'header.json').read_bytes() == before
    with pytest.raises(UsageError, match='filter.size_range'):
        make_proposals(images, out, settings=build_settings(), num_workers=1)


def test_shards_that_are_fitted_make_the_same_store(tmp_path, photos):
    path = annotate(tmp_path / 'ann.json', [[10, 10, 30, 20]] * 5, (80, 60))
    settings = fit_settings(path, list_input(photos))
    whole, merged = tmp_path / 'whole', tmp_path / 'merged'
    make_proposals(photos, whole, settings=settings, num_workers=1)
    shards = [tmp_path / part for part in '12']
    for number, shard in enumerate(shards, 1):
        make_proposals(
            photos, shard, settings=settings, num_workers=1, shard=(number, 2)
        )
    merge_proposals(shards, merged)
    for file in whole.iterdir():
        assert (merged / Path(file).name).read_bytes() == file.read_bytes()


@pytest.mark.parametrize('method', ['selective-search', 'union'])
def test_no_preset_leaves_out_the_objects_that_it_is_fitted_to(tmp_path, method):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((480, 640, 3), np.uint8))
    boxes = [[20 * number, 30, 24, 16] for number in range(20)]
    content = dict(
        images=[dict(id=1, file_name='a.png', width=640, height=480)],
        categories=[dict(id=1, name='car')],
        annotations=[dict(image_id=1, category_id=1, bbox=each) for each in boxes],
    )
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(content))
    images = list_input(tmp_path)
    fit = partial(fit_settings, path, images, method=method)
    settings = fit('released')
    (search, *_) = settings['generator'].get('generators', [settings['generator']])
    assert settings['filter']['min_side'] == int(16 / 2**0.5)
    pixels = (24 * 16) ** 0.5 / 640 * search['max_side']
    assert search['min_size'] == max(10, int(0.1 * pixels**2)) < 100
    said = '\n'.join(explain_fit(settings))
    assert '--min-side 11: ' in said and f'--min-size {search["min_size"]}: ' in said
    # What the preset keeps anyway, or the user sets, stays.
    assert fit('paper')['filter']['min_side'] == 0
    assert 'min_side' not in fit('paper')['derived']['reasons']
    assert fit('released', min_side=20)['filter']['min_side'] == 20
