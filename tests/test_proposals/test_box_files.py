import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from soco_mm.cli import build_parser
from soco_mm.proposals import ProposalFilter, Proposals, ProposalStore
from soco_mm.proposals.box_files.exporting import ExportSummary, export_proposals
from soco_mm.proposals.box_files.importing import import_proposals
from soco_mm.proposals.layout import encode_path, unusable
from soco_mm.utils import SoCoError, UsageError

SIZE = 120, 90
SHARED = Path(__file__).parents[2].parent / 'shared'
ODD = 'b/odd \udcff.png'  # a name that is not UTF-8


def make_images(folder, paths, size=SIZE):
    for path in paths:
        path = os.path.join(folder, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Image.new('L', size).save(path)


def draw_boxes(rng, number):
    corners = rng.uniform(0, 1, (number, 2, 2)).astype(np.float32)
    corners.sort(1)
    boxes = corners.reshape(-1, 4) * np.float32(2 * SIZE)
    boxes[0, 2:] = SIZE  # a box that ends with the image
    return np.unique(boxes, axis=0)


@pytest.fixture
def made(tmp_path):
    """Images, a store of their boxes, and one that cannot be used."""
    paths = ['a/1.png', 'a/ü 2.png', ODD, 'z.png']
    make_images(tmp_path / 'images', paths)
    rng = np.random.default_rng(0)
    results = [Proposals(path, draw_boxes(rng, 9), SIZE, 0) for path in paths]
    results.append(unusable('gone.png', 'is missing'))
    ProposalStore.write(
        tmp_path / 'store',
        dict(generator=dict(type='Test')),
        sorted(results, key=lambda each: encode_path(each.path)),
    )
    return tmp_path


def import_all(made, source, **options):
    summary = import_proposals(
        made / source, made / 'out', images=made / 'images', filter_cfg=None, **options
    )
    return summary, ProposalStore.open(made / 'out')


def assert_same_boxes(one, other):
    assert list(one) == list(other)
    for name in ('boxes', 'offsets', 'sizes'):
        np.testing.assert_array_equal(one.arrays[name], other.arrays[name])


def test_exported_store_comes_back_to_the_last_bit(made):
    store = ProposalStore.open(made / 'store')
    figures = export_proposals(made / 'store', made / 'out.json')
    assert figures == ExportSummary(
        out=str(made / 'out.json'), images=4, boxes=36, left_out=1
    )
    summary, back = import_all(made, 'out.json')
    assert_same_boxes(store, back)
    assert ODD in back and summary.unnamed == summary.clipped == 0
    assert summary.left_out_boxes == {}


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_any_boxes_come_back_to_the_last_bit(data):
    # Boxes of a pixel would look like fractions of the image.
    x, y = (st.floats(0, side, width=32) for side in SIZE)
    boxes = data.draw(st.lists(st.tuples(x, y, x, y), min_size=1, max_size=6))
    boxes = np.float32(
        [
            (x1, y1, x2, y2)
            for x1, y1, x2, y2 in boxes
            if x1 < x2 and y1 < y2 and max(x2 - x1, y2 - y1) > 1
        ]
        or [(0, 0, *SIZE)]
    )
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        make_images(folder / 'images', ['a.png'])
        ProposalStore.write(
            folder / 'store', dict(generator={}), [Proposals('a.png', boxes, SIZE, 0)]
        )
        export_proposals(folder / 'store', folder / 'out.json')
        _, back = import_all(folder, 'out.json')
        np.testing.assert_array_equal(back['a.png'], np.unique(boxes, axis=0))


def test_exported_store_loads_in_pycocotools(made):
    store = ProposalStore.open(made / 'store')
    export_proposals(made / 'store', made / 'out.json')
    coco = COCO(str(made / 'out.json'))
    assert coco.loadCats(coco.getCatIds()) == [dict(id=1, name='object')]
    assert len(coco.getImgIds()) == len(store)
    for image in coco.loadImgs(coco.getImgIds()):
        found = coco.loadAnns(coco.getAnnIds(image['id']))
        xywh = np.array([each['bbox'] for each in found])
        expected = store[image['file_name']].astype(float)
        np.testing.assert_array_equal(xywh[:, :2], expected[:, :2])
        np.testing.assert_array_equal(xywh[:, :2] + xywh[:, 2:], expected[:, 2:])


def test_released_json_comes_back(made):
    store = ProposalStore.open(made / 'store')
    content = {'of no image': [[1, 2, 3, 4]]}
    for path in store:
        stem = os.path.splitext(os.path.basename(path))[0]
        content[stem] = [
            [x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in store[path].tolist()
        ]
    (made / 'released.json').write_text(json.dumps(content))
    make_images(made / 'images', ['new.png'])
    summary, back = import_all(made, 'released.json')
    assert_same_boxes(store, back)
    assert (summary.unmatched, summary.first_unmatched) == (1, ['of no image'])
    assert (summary.unnamed, summary.first_unnamed) == (1, ['new.png'])
    assert back.header['generator'] == dict(
        type='Imported', format='released', score_thr=None
    )
    assert back.header['filter'] is None
    assert back.header['root'] == str(made / 'images')
    assert back.header['made_with']['numpy'] == np.__version__


def test_coco_results_come_back(made):
    store = ProposalStore.open(made / 'store')
    export_proposals(made / 'store', made / 'ann.json')
    coco = json.loads((made / 'ann.json').read_text())
    results = [
        dict(image_id=each['image_id'], category_id=1, bbox=each['bbox'], score=score)
        for each in coco['annotations']
        for score in (0.9, 0.5, 0.1)
    ]
    for each in results:
        if each['score'] < 0.5:  # noise
            each['bbox'] = [0, 0, 5, 5]
    (made / 'results.json').write_text(json.dumps(results))
    summary, back = import_all(
        made, 'results.json', annotations=made / 'ann.json', score_thr=0.5
    )
    assert_same_boxes(store, back)
    assert summary.left_out_boxes == {'scored below 0.5': 36, 'repeated': 36}
    assert back.header['generator'] == dict(
        type='Imported', format='coco_results', score_thr=0.5
    )


def write_coco(made, boxes, **image):
    """A COCO json of z.png."""
    content = dict(
        images=[dict(dict(id=1, file_name='z.png'), **image)],
        annotations=[dict(image_id=1, bbox=box) for box in boxes],
    )
    (made / 'z.json').write_text(json.dumps(content))
    return made / 'z.json'


def test_paper_filter_is_the_default_and_can_be_changed(made):
    rng = np.random.default_rng(1)
    boxes = draw_boxes(rng, 40)
    source = write_coco(
        made,
        np.concatenate(
            [boxes[:, :2], boxes[:, 2:].astype(float) - boxes[:, :2]], 1
        ).tolist(),
    )
    for filter_cfg in (None, dict(max_aspect=9, size_range=(0, 0.2))):
        options = {} if filter_cfg is None else dict(filter_cfg=filter_cfg)
        summary = import_proposals(
            source, made / 'out', images=made / 'images', overwrite=True, **options
        )
        expected, status = ProposalFilter(**(filter_cfg or {}))(boxes, *SIZE)
        store = ProposalStore.open(made / 'out')
        np.testing.assert_array_equal(store['z.png'], expected)
        assert 0 < len(expected) < len(boxes) and status == 0
        assert summary.left_out_boxes == {'filtered out': len(boxes) - len(expected)}
        assert store.header['filter']['max_aspect'] == (9 if filter_cfg else 3)


def test_image_left_without_a_box_gets_the_whole_image(made):
    write_coco(made, [[SIZE[0], 0, 9, 9], [5, 5, 0, 5], [-9, 0, 9, 9]])
    summary, store = import_all(made, 'z.json')
    np.testing.assert_array_equal(store['z.png'], [[0, 0, *SIZE]])
    assert store.status(0) == 'whole_image'
    assert summary.without_boxes == 1
    assert summary.left_out_boxes == {'without area': 3}


def test_boxes_that_give_way_to_the_whole_image_are_filtered_out(made):
    source = write_coco(made, [[10, 20, 100, 1], [9, 0, 1, 80]])
    summary = import_proposals(source, made / 'out', images=made / 'images')
    assert ProposalStore.open(made / 'out').status(0) == 'whole_image'
    assert summary.without_boxes == 1
    assert summary.left_out_boxes == {'filtered out': 2}


@pytest.mark.parametrize('layout', ['coco', 'released'])
def test_normalised_boxes_are_refused_without_the_size_of_the_image(made, layout):
    boxes = [[0.1, 0.2, 0.3, 0.4], [0.5, 0.2, 0.3, 0.4]]
    if layout == 'coco':
        source = write_coco(made, boxes)
    else:
        source = made / 'released.json'
        source.write_text(json.dumps({'z': boxes}))
    with pytest.raises(SoCoError, match='2 of 2 boxes in .* look normalised'):
        import_proposals(source, made / 'out', images=made / 'images')
    assert not (made / 'out').exists()


@pytest.mark.parametrize('layout', ['coco', 'released'])
def test_corners_are_refused_without_the_size_of_the_image(made, layout):
    width, height = SIZE
    corners = [
        [x, y, x + width // 5, y + height // 5]
        for x in range(width // 2, width * 4 // 5, 3)
        for y in range(height // 2, height * 4 // 5, 3)
    ]
    source = write_coco(made, corners)
    if layout == 'released':
        source.write_text(json.dumps({'z': corners}))
    number = len(corners)
    with pytest.raises(
        SoCoError, match=f'{number} of {number} boxes in .* two corners x1'
    ):
        import_proposals(source, made / 'out', images=made / 'images')
    assert not (made / 'out').exists()


def test_other_files_in_a_store_are_not_lost(made):
    source = write_coco(made, [[1, 1, 30, 30]])
    import_proposals(source, made / 'out', images=made / 'images')
    (made / 'out/notes.txt').write_text('mine')
    (made / 'out/pictures').mkdir()
    (made / 'out/pictures/a.png').write_text('mine too')
    (made / 'out/link').symlink_to('nowhere')
    source = write_coco(made, [[1, 1, 30, 30], [5, 5, 30, 30]])
    import_proposals(source, made / 'out', images=made / 'images', overwrite=True)
    assert len(ProposalStore.open(made / 'out')['z.png']) == 2
    assert (made / 'out/notes.txt').read_text() == 'mine'
    assert (made / 'out/pictures/a.png').read_text() == 'mine too'
    assert (made / 'out/link').readlink() == Path('nowhere')


def test_images_that_cannot_be_used_are_listed_with_the_reason(made):
    (made / 'images' / 'bad.png').write_text('no image')
    names = ['bad.png', 'none.png', 'other.png', 'z.png']
    make_images(made / 'images', ['other.png'])
    content = dict(
        images=[
            dict(id=i, file_name=name, width=90 + 30 * (i != 2), height=90)
            for i, name in enumerate(names)
        ],
        annotations=[dict(image_id=i, bbox=[1, 1, 9, 9]) for i in range(4)],
    )
    (made / 'boxes.json').write_text(json.dumps(content))
    summary, store = import_all(made, 'boxes.json')
    assert list(store) == ['z.png']
    assert {each['image']: each['reason'] for each in store.failures()} == {
        'bad.png': 'is damaged, or not an image that OpenCV or Pillow can decode',
        'none.png': 'is missing',
        'other.png': 'is 120x90 pixels large, but its boxes are for 90x90',
    }
    assert summary.failures == summary.left_out == 3
    assert summary.left_out_boxes == {'of images that cannot be used': 3}


def test_nothing_is_written_where_no_image_can_be_used(made):
    source = write_coco(made, [[1, 2, 3, 4]], width=7, height=7)
    with pytest.raises(SoCoError, match='z.png, is 120x90 .* for 7x7'):
        import_proposals(source, made / 'out', images=made / 'images')
    source = write_coco(made, [[1, 2, 3]])
    with pytest.raises(UsageError, match='annotation 0 .*four finite'):
        import_proposals(source, made / 'out', images=made / 'images')
    assert not [each for each in os.listdir(made) if 'out' in each]


def test_turned_image_has_the_size_that_training_sees(made):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (40, 20)).save(made / 'images/z.jpg', exif=exif)
    write_coco(made, [[0, 0, 99, 99]], file_name='z.jpg')
    _, store = import_all(made, 'z.json')
    assert store.size(0) == (20, 40)
    np.testing.assert_array_equal(store['z.jpg'], [[0, 0, 20, 40]])


def test_what_is_there_is_not_replaced_unasked(made):
    source = write_coco(made, [[1, 2, 3, 4]])
    with pytest.raises(UsageError, match='--overwrite'):
        import_proposals(source, made / 'store', images=made / 'images')
    with pytest.raises(UsageError, match='is not a proposal store'):
        import_proposals(
            source, made / 'images', images=made / 'images', overwrite=True
        )
    import_proposals(source, made / 'store', images=made / 'images', overwrite=True)
    assert list(ProposalStore.open(made / 'store')) == ['z.png']

    text = source.read_text()
    with pytest.raises(UsageError, match='is not an export of proposals'):
        export_proposals(made / 'store', source)
    assert source.read_text() == text
    for _ in range(2):  # an earlier export is replaced
        export_proposals(made / 'store', made / 'new/out.json')
    with pytest.raises(UsageError, match='is a folder. Give a .json file'):
        export_proposals(made / 'store', made / 'new')


def run(*arguments):
    args = build_parser().parse_args(['proposals', *map(str, arguments)])
    args.function(args)


def test_commands_say_what_became_of_the_boxes(made, capsys):
    run('export', made / 'store', '--out', made / 'all.json')
    assert capsys.readouterr().out == (
        f'{made}/all.json: 4 images, 36 boxes\n'
        f'  1 images of {made}/store that cannot be used are not in it\n'
    )
    content = json.loads((made / 'all.json').read_text())
    content['images'] = [each for each in content['images'] if each['file_name'] != ODD]
    content['images'].append(dict(id=99, file_name='none.png'))
    content['annotations'] += [
        dict(image_id=1, bbox=[80, 80, 80, 80]),
        dict(image_id=1, bbox=[0, 0, 5, 5], iscrowd=1),
    ]
    (made / 'some.json').write_text(json.dumps(content))
    run(
        'import',
        made / 'some.json',
        '--images',
        made / 'images',
        '--out',
        made / 'out',
        '--size-range',
        0,
        1,
        '--max-aspect',
        1e6,
    )
    text = capsys.readouterr().out
    for words in (
        '3 images, 28 boxes',
        'some.json, a COCO json\n',
        'left out: 1 crowds, 9 of images that are not listed\n',
        '1 boxes reached out of their images and were clipped\n',
        'none.png is missing\n',
        '1 images in',
        'not in it, for example b/odd \\udcff.png',
    ):
        assert words in text
    header = ProposalStore.open(made / 'out').header
    assert header['filter'] == dict(max_aspect=1000000, size_range=[0, 1], min_side=0)


def test_annotations_of_another_machine_are_imported(made, capsys):
    """Flags and sizes as text, and file names of Windows."""
    (made / 'w.json').write_text(
        json.dumps(
            dict(
                images=[
                    dict(id='7', file_name='D:\\x\\z.png', width='120', height='90.0')
                ],
                annotations=[
                    dict(image_id=7, bbox=['10', 9, 60, 40], iscrowd='0'),
                    dict(image_id=7, bbox=[0, 0, 50, 50], ignore='true'),
                    dict(image_id=7, bbox=[0, 0, 50, 50], iscrowd=1),
                ],
            )
        )
    )
    run(
        'import',
        made / 'w.json',
        '--images',
        made / 'images',
        '--out',
        made / 'out',
    )
    text = capsys.readouterr().out
    assert 'left out: 1 ignored, 1 crowds\n' in text
    assert (
        '1 images are found only by the end of their name, for example '
        'D:\\x\\z.png is z.png\n'
    ) in text
    store = ProposalStore.open(made / 'out')
    assert store['z.png'].tolist() == [[10, 9, 70, 49]]


def test_many_clipped_boxes_hint_at_another_size(made, capsys):
    (made / 'r.json').write_text(json.dumps({'z': [[9, 9, 200, 200]]}))
    run(
        'import',
        made / 'r.json',
        '--images',
        made / 'images',
        '--out',
        made / 'out',
    )
    assert 'images of another size?' in capsys.readouterr().out


def test_flags_of_a_filter_that_is_off_are_refused(made):
    with pytest.raises(UsageError, match='--no-filter keeps every box'):
        run(
            'import',
            'x.json',
            '--images',
            made,
            '--out',
            made,
            '--no-filter',
            '--min-side',
            3,
        )


@pytest.mark.skipif(not (SHARED / 'data/coco128').is_dir(), reason='needs shared data')
def test_annotations_of_coco_are_imported(tmp_path):
    source = SHARED / 'data/coco128/detection_train.json'
    import_proposals(source, tmp_path / 'out', images=source.parent, filter_cfg=None)
    store, coco = ProposalStore.open(tmp_path / 'out'), COCO(str(source))
    assert len(store) == len(coco.imgs)
    for image in coco.imgs.values():
        found = coco.imgToAnns[image['id']]
        xywh = np.array([each['bbox'] for each in found]).reshape(-1, 4)
        expected = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1)
        boxes = store[image['file_name']]
        if len(found):
            distance = np.abs(expected[:, None] - boxes[None]).max(-1)
            assert distance.min(0).max() < 0.02  # clipping moves little
            assert distance.min(1).max() < 0.02
        else:
            assert store.status(store.index(image['file_name'])) == ('whole_image')
