import os
import shutil
from urllib.parse import quote

import cv2
import numpy as np
import pytest
import small
import torch

from soco_mm.apis.browse import browse
from soco_mm.cli import main
from soco_mm.engine.config import load_config
from soco_mm.engine.levels import BoxLevels
from soco_mm.engine.preview import build_dataset
from soco_mm.registry import DATASETS
from soco_mm.utils import SoCoError, UsageError
from soco_mm.utils.image_files import list_images
from soco_mm.visualization import DrawnView, draw_sample


def options(images, store):
    return {
        'train_dataloader.dataset.data_root': str(images),
        'train_dataloader.dataset.proposals': str(store),
    }


def test_levels_are_those_of_the_papers_bounds():
    sides = torch.tensor([20.0, 47, 48, 49, 95, 97, 191, 193, 224])
    boxes = torch.stack([sides * 0, sides * 0, sides, sides], -1)
    sample = dict(views=[torch.zeros(224, 224, 3)], boxes=[boxes])
    levels = BoxLevels(load_config('soco_r50_fpn_100e'))
    assert levels.names(sample, (500, 400)) == [
        ['P2', 'P2', 'P2', 'P3', 'P3', 'P4', 'P4', 'P5', 'P5']
    ]
    single = BoxLevels(load_config('soco_r50_c4_100e'))
    assert single.names(sample, (500, 400)) == [[]]


@pytest.mark.parametrize(
    'config',
    [
        'soco_r50_fpn_100e',
        'soco-star_r50_fpn_100e',
        'soco_r50_c4_100e',
        'released/soco_r50_fpn_100e',
    ],
)
def test_pictures_show_what_the_pipeline_gives(config, demo_images, store, tmp_path):
    made = browse(
        config,
        tmp_path / 'out',
        num_images=2,
        start=1,
        epoch=3,
        options=options(demo_images, store),
    )
    assert [path.name for path in made.pictures] == [
        '000001_chelsea.png',
        '000002_coffee.png',
    ]
    cfg = load_config(config, options(demo_images, store))
    dataset = DATASETS.build(dict(cfg.train_dataloader.dataset, seed=0))
    sample = dataset[3 * len(dataset) + 1]
    info = dataset.get_data_info(1)
    named = BoxLevels(cfg).names(sample, (1, 1))
    expected = draw_sample(
        cv2.imread(info['img_path'])[..., ::-1],
        info['proposals'],
        [
            DrawnView(view.numpy(), boxes.numpy(), valid.numpy(), names)
            for view, boxes, valid, names in zip(
                sample['views'], sample['boxes'], sample['valid'], named
            )
        ],
    )
    drawn = cv2.imread(str(made.pictures[0]))[..., ::-1]
    np.testing.assert_array_equal(drawn, expected)
    text = made.page.read_text()
    assert text.index('000001_chelsea.png') < text.index('000002_coffee.png')
    first = text[text.index('1: chelsea.jpg') : text.index('000002_coffee.png')]
    for view, valid in zip(sample['views'], sample['valid']):
        height, width, _ = view.shape
        assert (
            f'{width}x{height} px, {int(valid.sum())} of {len(valid)} objects'
        ) in first


def test_seed_and_resolved_config_are_those_of_the_training(
    demo_images, store, tmp_path
):
    cfg = load_config(
        'soco_r50_fpn_100e', dict(options(demo_images, store), **{'randomness.seed': 7})
    )
    cfg.dump(tmp_path / 'resolved.py')
    pictures = browse(tmp_path / 'resolved.py', tmp_path / '7', num_images=1).pictures
    sample = build_dataset(cfg)[0]
    seeded = DATASETS.build(dict(cfg.train_dataloader.dataset, seed=7))
    assert all(map(torch.equal, sample['views'], seeded[0]['views']))
    others = browse(
        'soco_r50_fpn_100e',
        tmp_path / '0',
        num_images=1,
        options=options(demo_images, store),
    ).pictures
    assert pictures[0].read_bytes() != others[0].read_bytes()
    browse(
        'soco_r50_fpn_100e',
        tmp_path / '0',
        num_images=1,
        options=dict(options(demo_images, store), **{'randomness.seed': 7}),
    )
    assert pictures[0].read_bytes() == others[0].read_bytes()


def test_odd_names_and_missing_images(demo_images, tmp_path, capsys):
    folder = tmp_path / 'images'
    for name in (
        'a/same <b>.jpg',
        'b/same <b>.jpg',
        'gone.jpg',
        os.fsdecode(b'caf\xe9.jpg'),
        '\u732b' * 80 + '.jpg',
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(demo_images / 'coins.jpg', folder / name)
    store = tmp_path / 'store'
    main(['proposals', str(folder), '--out', str(store), '--method', 'whole'])
    (folder / 'gone.jpg').unlink()
    main(
        ['browse', 'soco_r50_fpn_100e', '--out', str(tmp_path / 'out'), '--cfg-options']
        + [f'{key}={value}' for key, value in options(folder, store).items()]
    )
    printed = capsys.readouterr().out
    assert 'gone.jpg cannot be read' in printed and 'of 4 images' in printed
    names = sorted(path.name for path in (tmp_path / 'out').glob('*.png'))
    assert names[:2] == ['000000_same_b_.png', '000001_same_b_.png']
    page = (tmp_path / 'out/index.html').read_text()
    assert 'a/same &lt;b&gt;.jpg' in page and '<b>' not in page
    assert len(names) == 4 and all(quote(name) in page for name in names)


def test_what_cannot_be_drawn_is_said(demo_images, store, tmp_path):
    with pytest.raises(UsageError, match='there are 5, numbered'):
        browse(
            'soco_r50_fpn_100e',
            tmp_path / 'out',
            start=5,
            options=options(demo_images, store),
        )
    with pytest.raises(SoCoError, match='soco-mm proposals'):
        browse(
            'soco_r50_fpn_100e',
            tmp_path / 'out',
            options=options(demo_images, tmp_path / 'none'),
        )
    with pytest.raises(SoCoError, match='None of the images'):
        browse('soco_r50_fpn_100e', tmp_path / 'out', options=options(tmp_path, store))
    for key, message in (
        ('train_dataloader.dataset.nonsense', 'nonsense'),
        ('model.roi_head.bbox_roi_extractor.scale_bounds', 'ascending bound'),
    ):
        with pytest.raises(SoCoError, match=f'cannot be built .*{message}'):
            browse(
                'soco_r50_fpn_100e',
                tmp_path / 'out',
                options=dict(options(demo_images, store), **{key: [1]}),
            )
    assert not list(tmp_path.glob('out/*'))


def test_only_a_page_of_its_own_is_replaced(demo_images, store, tmp_path):
    def draw(out):
        return browse(
            'soco_r50_fpn_100e', out, num_images=1, options=options(demo_images, store)
        )

    first = draw(tmp_path / 'out').page.read_text()
    assert draw(tmp_path / 'out').page.read_text() == first
    own = tmp_path / 'site/index.html'
    own.parent.mkdir()
    own.write_text('<!DOCTYPE html><p>my home page</p>')
    with pytest.raises(
        UsageError, match='site already exists and is not a folder of browse'
    ):
        draw(own.parent)
    assert list(own.parent.iterdir()) == [own] and 'my home' in own.read_text()


def test_pictures_are_no_images_of_a_training(demo_images, store, tmp_path):
    """Whether they are below the images, or would lie among them."""
    images = tmp_path / 'images'
    shutil.copytree(demo_images, images)
    options = {
        'train_dataloader.dataset.data_root': str(images),
        'train_dataloader.dataset.proposals': str(store),
    }
    browse(small.SOCO, images / 'browse', options=options)
    assert len(list_images(images).paths) == 5
    with pytest.raises(UsageError, match='is not a folder of browse'):
        browse(small.SOCO, images, options=options)
    names = {each.name for each in images.iterdir()}
    assert names == {'browse', *(each.name for each in demo_images.iterdir())}
    browse(small.SOCO, images / 'browse', options=options)  # again
