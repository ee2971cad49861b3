"""One reduction to 8 bits for proposals, training and the detector."""

import importlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import small
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

from soco_mm.apis.export import export_detector
from soco_mm.apis.pretrain import pretrain
from soco_mm.checkpoint.pretrained import stretch_of
from soco_mm.datasets.stretching import choose_stretch
from soco_mm.datasets.transforms import LoadImage
from soco_mm.detectors.mask_rcnn import FPN_CONFIG
from soco_mm.detectors.stretching import detector_stretch
from soco_mm.engine.config import load_config
from soco_mm.proposals import ProposalStore, build_settings
from soco_mm.proposals.make import make_proposals
from soco_mm.registry import MODELS
from soco_mm.utils import UsageError

LINE = 'train_dataloader.dataset.pipeline'


@pytest.fixture
def thermal(tmp_path):
    """Warm rectangles on a cold ground, in a small part of 16 bits."""
    rng = np.random.default_rng(0)
    (tmp_path / 'images').mkdir()
    for number in range(3):
        image = rng.normal(51400, 10, (120, 160))
        image[30:90, 40 + number : 110] += 200
        cv2.imwrite(str(tmp_path / f'images/{number}.png'), image.astype(np.uint16))
    return tmp_path / 'images'


def test_proposals_of_stretched_images_find_what_8_bits_hide(thermal, tmp_path, capsys):
    found = {}
    for stretch in (None, (0.5, 99.5)):
        out = tmp_path / f'store {stretch}'
        make_proposals(thermal, out, settings=build_settings(stretch=stretch))
        store = ProposalStore.open(out)
        found[stretch] = store
        assert store.header['stretch'] == (stretch and list(stretch))
        warned = 'WARNING: 3 of 3 images' in capsys.readouterr().out
        assert warned == (stretch is None)

    def best(store):
        boxes = store['0.png']
        area = np.prod(boxes[:, 2:] - boxes[:, :2], 1)
        inner = (
            (np.minimum(boxes[:, 2:], [110, 90]) - np.maximum(boxes[:, :2], [40, 30]))
            .clip(0)
            .prod(1)
        )
        return (inner / (area + 70 * 60 - inner)).max()

    assert best(found[0.5, 99.5]) > 0.9
    # Nothing is mixed unasked.
    with pytest.raises(UsageError, match='made with other settings .*stretch'):
        make_proposals(
            thermal,
            tmp_path / 'store None',
            settings=build_settings(stretch=(0.5, 99.5)),
        )


def test_training_reads_images_as_their_proposals_were_made(thermal, tmp_path):
    store, plain = tmp_path / 'store', tmp_path / 'plain'
    make_proposals(
        thermal, store, settings=build_settings(method='whole', stretch=(1, 99))
    )
    make_proposals(thermal, plain, settings=build_settings(method='whole'))

    def choose(stretch=None, proposals=None, options=None):
        cfg = load_config('soco_r18_fpn_quick', options)
        chosen = choose_stretch(cfg, stretch, proposals)
        loader = cfg.train_dataloader.dataset.pipeline[0]
        assert loader.get('stretch') == chosen
        return chosen

    assert choose() is None and choose(proposals=plain) is None
    assert choose((2, 98)) == (2, 98)
    assert choose(proposals=store) == choose((1, 99), store) == (1, 99)
    assert choose(options={f'{LINE}.0.stretch': (3, 97)}) == (3, 97)
    with pytest.raises(UsageError, match='with --stretch 1 99, not --stretch 2 98'):
        choose((2, 98), store)
    with pytest.raises(UsageError, match='made without --stretch 2 98'):
        choose((2, 98), plain)
    with pytest.raises(UsageError, match='two numbers from 0 to 100'):
        choose((98, 2))
    with pytest.raises(UsageError, match='no LoadImage'):
        cfg = load_config('soco_r18_fpn_quick')
        del cfg.train_dataloader.dataset.pipeline[0]
        choose_stretch(cfg, (1, 99))


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A checkpoint of a training with a stretch."""
    options = {f'{LINE}.0.stretch': (1.0, 99.0)}
    cfg = load_config(small.SOCO, small.USUAL_FPN | options)
    model = MODELS.build(cfg.model)
    path = tmp_path_factory.mktemp('pretrained') / 'epoch_1.pth'
    torch.save(
        dict(meta=dict(cfg=cfg.pretty_text), state_dict=model.state_dict()), path
    )
    return path


def read_by(config, loader, path):
    """What a detector's data set makes of an image before it is resized."""
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    cfg = Config.fromfile(config)  # runs custom_imports
    dataset = cfg[loader].dataset
    while 'pipeline' not in dataset:
        dataset = dataset.dataset
    with DefaultScope.overwrite_default_scope('mmdet'):
        pipeline = Compose(dataset.pipeline[:1])
    return pipeline(dict(img_path=str(path)))['img']


@pytest.mark.parametrize(
    'base', [None, 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py', 'repeated']
)
def test_an_exported_detector_reads_the_pixels_of_pretraining(
    checkpoint, thermal, tmp_path, demo_images, base
):
    detector = base and tmp_path / 'retinanet.py'
    if base:
        model = """
model = dict(
    backbone=dict(depth=18, base_channels=16), neck=dict(in_channels=[16, 32, 64, 128]))
"""
        start = "_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'\n"
        if base == 'repeated':
            model += (
                'data = _base_.train_dataloader.dataset\n'
                'train_dataloader = dict(dataset=dict(\n'
                "    _delete_=True, type='RepeatDataset', times=2,\n"
                '    dataset=data))\n'
            )
        detector.write_text(start + model)
    export_detector(checkpoint, tmp_path / 'out', detector=detector, adapt=True)
    name = detector.name if base else FPN_CONFIG
    for path in (thermal / '1.png', demo_images / 'coffee.jpg'):
        wanted = LoadImage((1, 99))(dict(img_path=str(path)))['image']
        for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            found = read_by(tmp_path / 'out' / name, loader, path)
            assert (found == wanted[..., ::-1]).all()
    assert detector_stretch(Config.fromfile(tmp_path / 'out' / name)) == (1, 99)
    # The exported weights say so too.
    exported = torch.load(tmp_path / 'out/soco_weights.pth')
    assert stretch_of(exported) == (1, 99)


def test_a_detector_of_images_of_8_bits_reads_them_as_ever(checkpoint, tmp_path):
    state = torch.load(checkpoint)
    cfg = load_config('soco_r18_fpn_quick')
    state['meta']['cfg'] = state['meta']['cfg'].replace('stretch', 'spread')
    assert stretch_of(state) is stretch_of({}) is stretch_of({}, cfg) is None
    torch.save(state, tmp_path / 'plain.pth')
    export_detector(tmp_path / 'plain.pth', tmp_path / 'out')
    text = (tmp_path / 'out' / FPN_CONFIG).read_text()
    assert 'pipeline' not in text and 'soco_mm' not in text
    assert detector_stretch(Config.fromfile(tmp_path / 'out' / FPN_CONFIG)) is None


def test_a_pretraining_hands_its_stretch_on(thermal, tmp_path, monkeypatch):
    module = importlib.import_module('soco_mm.apis.pretrain')

    class Stop(Exception):
        pass

    def stop(cfg, *args, **kwargs):
        raise Stop(cfg.train_dataloader.dataset.pipeline[0].stretch)

    monkeypatch.setattr(module, 'train_model', stop)
    with pytest.raises(Stop, match=r'\(1.0, 99.0\)'):
        pretrain(
            thermal,
            tmp_path / 'run',
            config='soco_r18_fpn_quick',
            workers=1,
            stretch=(1, 99),
        )
    store = ProposalStore.open(Path(tmp_path, 'run/proposals'))
    assert store.header['stretch'] == [1, 99]
