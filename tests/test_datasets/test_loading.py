from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmdet.registry import TRANSFORMS as MMDET_TRANSFORMS
from mmengine.registry import DefaultScope
from PIL import Image
from torch.utils.data import DataLoader

from soco_mm.datasets import ObjectViewDataset
from soco_mm.datasets.transforms import LoadImage, LoadStretchedImage
from soco_mm.engine import training as train
from soco_mm.proposals import Proposals, ProposalStore
from soco_mm.utils import SoCoError, UsageError


@pytest.fixture
def made(tmp_path):
    """An image of 16 bits and 80x60 pixels, and its proposals."""
    boxes = np.float32([[8, 6, 40, 30], [20, 12, 80, 60]])
    write(tmp_path / 'a.png', 80, 60)
    ProposalStore.write(
        tmp_path / 'store',
        dict(generator=dict(type='WholeImage'), stretch=(1, 99)),
        [Proposals('a.png', boxes, (80, 60), 0)],
    )
    return tmp_path


def write(path, width, height):
    rng = np.random.default_rng(0)
    image = rng.normal(30000, 60, (height, width)).astype(np.uint16)
    assert cv2.imwrite(str(path), image)


def build(made, **kwargs):
    return ObjectViewDataset(
        str(made), str(made / 'store'), [dict(type='LoadImage', **kwargs)]
    )


def test_loaded_proposals_follow_the_pixels(made):
    dataset = build(made, stretch=(1, 99))
    before = dataset.load_image(0)['proposals']
    assert (before == dataset.store.boxes(0)).all()
    assert dataset.compare_images() == []
    write(made / 'a.png', 40, 30)
    loaded = dataset.load_image(0)
    assert loaded['image'].shape == (30, 40, 3)
    assert (loaded['proposals'] == before / 2).all()
    assert (dataset[0]['proposals'] == before / 2).all()
    (note,) = dataset.compare_images()
    assert 'a.png has 40x30 pixels, not 80x60' in note
    write(made / 'a.png', 60, 80)
    # Not ImageError, for which another image takes its place.
    for read in (dataset.compare_images, lambda: dataset[0]):
        with pytest.raises(
            SoCoError, match='a.png has 60x80 pixels, but its proposals '
        ):
            read()


def test_proposals_of_no_known_size_are_as_they_are(made):
    boxes = np.float32([[1, 2, 3, 4]])
    loaded = LoadImage()(dict(img_path=str(made / 'a.png'), proposals=boxes))
    assert (loaded['proposals'] == boxes).all()


def test_images_are_read_as_their_proposals_were_made(made):
    assert build(made, stretch=(1, 99)).compare_images() == []
    for stretch in (None, (2, 98)):
        with pytest.raises(
            SoCoError, match=r'made with --stretch 1 99, .*pipeline.0.stretch="\(1'
        ):
            build(made, stretch=stretch).compare_images()


def test_images_are_not_stretched_if_their_proposals_were_made_without_it(made):
    def write_store(**header):
        boxes = np.float32([[8, 6, 40, 30]])
        ProposalStore.write(
            made / 'store', header, [Proposals('a.png', boxes, (80, 60), 0)]
        )

    for header in (dict(stretch=None), {}):
        write_store(generator=dict(type='WholeImage'), **header)
        assert build(made).compare_images() == []
        with pytest.raises(
            SoCoError,
            match=r'made without --stretch, but .* with --stretch 1 99. Set .*=None, or',
        ):
            build(made, stretch=(1, 99)).compare_images()
    write_store(generator=dict(type='Imported'))  # of another tool
    assert build(made, stretch=(1, 99)).compare_images() == []


def test_detectors_read_the_pixels_of_pretraining(made, demo_images):
    exif = Image.Exif()
    exif[0x112] = 6
    turned = np.asarray(Image.open(made / 'a.png'))
    Image.fromarray(turned).save(made / 'turned.png', exif=exif)
    with DefaultScope.overwrite_default_scope('mmdet'):
        load = MMDET_TRANSFORMS.build(
            dict(type='soco_mm.LoadStretchedImage', stretch=[1, 99])
        )
    assert isinstance(load, LoadStretchedImage)
    for path in (made / 'a.png', made / 'turned.png', demo_images / 'coffee.jpg'):
        wanted = LoadImage((1, 99))(dict(img_path=str(path)))['image']
        found = load(dict(img_path=str(path)))
        assert (found['img'] == wanted[..., ::-1]).all()
        assert found['img'].dtype == np.uint8
        assert found['img_shape'] == found['ori_shape'] == wanted.shape[:2]
    assert len(np.unique(load(dict(img_path=str(made / 'a.png')))['img'])) > 99
    (made / 'b.png').write_text('no image')
    for name in ('b.png', 'none.png'):
        with pytest.raises(SoCoError, match=name):
            load(dict(img_path=str(made / name)))


@pytest.mark.parametrize('stretch', [(5,), 'ab', (99, 1), (-1, 50), (0, 101), 3])
def test_what_is_not_two_percentiles_is_refused(stretch):
    with pytest.raises(UsageError, match='two numbers from 0 to 100'):
        LoadImage(stretch)


def test_a_training_says_what_its_images_are_like(made, monkeypatch):
    said = []
    monkeypatch.setattr(train, 'tell', lambda text, level: said.append(text))
    write(made / 'a.png', 40, 30)
    runner = SimpleNamespace(train_dataloader=DataLoader(build(made, stretch=(1, 99))))
    train.check_dataset(runner)
    assert 'a.png has 40x30 pixels, not 80x60' in said[0]
    write(made / 'a.png', 40, 40)
    with pytest.raises(SoCoError, match='has 40x40 pixels'):
        train.check_dataset(runner)
