"""The example in one file computes what the package does."""

import importlib.util
import math
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.model import BaseModule

from soco_mm.datasets.transforms import BoxJitter, ConstructViews
from soco_mm.datasets.transforms.views import random_crop
from soco_mm.models import ScaleAwareRoIExtractor
from soco_mm.models.algorithms.soco import fill_invalid
from soco_mm.proposals import ProposalFilter, SelectiveSearch
from soco_mm.registry import MODELS

FILE = Path(__file__).parents[1] / 'examples/soco_minimal.py'


@pytest.fixture(scope='module')
def minimal():
    spec = importlib.util.spec_from_file_location('soco_minimal', FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def photos(minimal):
    images = [cv2.imread(str(p)) for p in sorted(FILE.parents[1].glob('demo/images/*'))]
    assert len(images) == 5
    return [(image, minimal.propose(image)) for image in images]


@pytest.fixture
def network(minimal):
    torch.manual_seed(0)
    return minimal.Network()


@pytest.fixture
def soco(minimal):
    """The package's model in the shape of the example's network.

    Its pyramid, RoIAlign, heads, loss and target network are the package's and
    the libraries' own; only the four convolutions come from the example.
    """

    class Stages(BaseModule):
        def __init__(self):
            super().__init__()
            self.stages = minimal.Network().backbone

        def forward(self, x):
            return tuple(x := stage(x) for stage in self.stages)

    MODELS.register_module(name='MinimalStages', module=Stages, force=True)
    norm, width = dict(type='BN'), minimal.C
    mlp = dict(
        type='NonLinearNeck',
        hid_channels=256,
        out_channels=64,
        with_bias=True,
        with_last_bn=False,
        with_last_bias=True,
        with_avg_pool=False,
        norm_cfg=dict(type='BN1d'),
    )
    model = dict(
        type='SoCo',
        backbone=dict(type='MinimalStages'),
        neck=dict(
            type='mmdet.FPN',
            in_channels=[width] * 4,
            out_channels=width,
            num_outs=4,
            norm_cfg=norm,
        ),
        roi_head=dict(
            type='ObjectRoIHead',
            bbox_roi_extractor=dict(type='ScaleAwareRoIExtractor'),
            bbox_head=dict(
                type='ObjectBBoxHead',
                in_channels=width,
                conv_out_channels=width,
                fc_out_channels=256,
                norm_cfg=norm,
            ),
        ),
        projector=dict(in_channels=256, **mlp),
        head=dict(type='SoCoHead', predictor=dict(in_channels=64, **mlp)),
    )
    yield MODELS.build(model)
    MODELS.module_dict.pop('MinimalStages')


def copy_weights(source, *parts):
    """Both define their layers in the same order."""
    values = list(source.state_dict().values())
    places = [each for part in parts for each in part.state_dict().values()]
    assert [each.shape for each in places] == [each.shape for each in values]
    for place, value in zip(places, values):
        place.copy_(value)


def gradients(*parts):
    """As one vector; 0 for the convolution of a pyramid level without boxes."""
    return torch.cat(
        [
            (torch.zeros_like(p) if p.grad is None else p.grad).flatten()
            for part in parts
            for p in part.parameters()
        ]
    )


def test_losses_gradients_and_target_updates_are_those_of_soco(
    minimal, photos, network, soco
):
    """Three steps of training; after each both go on from the same weights."""
    q, target = minimal.mlp(64), minimal.Network()
    parts = soco.train().backbone, soco.neck, soco.roi_head, soco.projector
    copy_weights(target, soco.target_net.module)
    optimizer = torch.optim.SGD([*network.parameters(), *q.parameters()], lr=0.02)
    rng = np.random.default_rng(3)
    losses, counted = [], []
    for step in (1, 2, 3):
        copy_weights(network, *parts)
        copy_weights(q, soco.head.predictor)
        views, boxes, valid = torch.utils.data.default_collate(
            # The second photo with two objects and the whole image.
            [
                minimal.sample(image, boxes[-3 if n == 1 else 0 :], rng)
                for n, (image, boxes) in enumerate(photos)
            ]
        )
        counted.append(valid.sum(1).tolist())
        # Batch norm sees repeats too; SoCo puts other objects of the image there.
        boxes = [fill_invalid(b, valid, v) for b, v in zip(boxes, views)]
        loss = minimal.soco_loss(network, q, target, views, boxes, valid)
        expected = soco.loss(views, boxes, [valid] * 3)['loss']
        assert loss.item() == pytest.approx(expected.item(), abs=1e-4)
        losses.append(loss.item())
        optimizer.zero_grad()
        soco.zero_grad()
        loss.backward()
        expected.backward()
        mine, true = gradients(network, q), gradients(*parts, soco.head.predictor)
        assert (mine - true).norm() < 1e-3 * true.norm()
        optimizer.step()
        copy_weights(network, *parts)
        minimal.update_target(target, network, step, 3)
        soco.update_target(step, 3)
        for mine, true in zip(
            target.parameters(), soco.target_net.module.parameters(), strict=True
        ):
            assert torch.allclose(mine, true, atol=1e-6)
    assert len(set(losses)) == 3 and all(map(math.isfinite, losses))
    assert all(each[0] == 4 and each[1] < 4 for each in counted)


def test_boxes_are_pooled_as_the_package_does_on_the_same_levels(minimal):
    torch.manual_seed(1)
    pyramid = [torch.randn(2, 3, 224 // s, 224 // s) for s in (4, 8, 16, 32)]
    sides = torch.tensor([7, 47.9, 48, 48.1, 96, 96.1, 192, 192.1, 224])
    boxes = torch.stack([sides * 0, sides * 0, sides, sides], -1).repeat(2, 1, 1)
    boxes[1, :, 2] /= 2  # not square
    boxes[1] += torch.tensor([30.3, 0, 30.3, 0])
    extractor = ScaleAwareRoIExtractor()
    assert extractor.assign_levels(boxes[0]).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3]
    expected = extractor(pyramid, boxes)
    pooled = [minimal.roi_align(pyramid, n, box) for n in (0, 1) for box in boxes[n]]
    assert torch.allclose(torch.stack(pooled), expected, atol=1e-4)


def test_views_and_their_boxes_are_the_same(minimal, photos):
    construct = ConstructViews(
        [
            dict(size=224),
            dict(size=224, source=0, crop_scale=(0.5, 1)),
            dict(size=112, source=1),
        ]
    )
    for image, boxes in photos:
        crop = random_crop(np.random.default_rng(5), 224, 224, (0.5, 1), (3 / 4, 4 / 3))
        views, mapped = minimal.make_views(image, boxes, crop)
        expected = construct(
            dict(image=image, proposals=boxes, rng=np.random.default_rng(5))
        )
        for mine, true in zip(views, expected['views']):
            np.testing.assert_array_equal(mine, true)
        for mine, true in zip(mapped, expected['boxes']):
            np.testing.assert_allclose(mine, true, atol=1e-3)


def test_boxes_are_jittered_by_the_same_formula(minimal):
    boxes = np.float32([[50, 60, 110, 90], [80, 40, 90, 140]])
    expected = BoxJitter(prob=1)(
        dict(
            views=[np.zeros((224, 224, 3), np.uint8)],
            boxes=[boxes],
            rng=np.random.default_rng(0),
        )
    )['boxes'][0]
    r = np.random.default_rng(0).uniform(-0.1, 0.1, (1, 2, 4))[0]
    np.testing.assert_allclose(minimal.jitter(boxes, r), expected, atol=1e-4)
    assert np.abs(expected - boxes).min() > 0.01


def test_proposals_are_those_of_the_package_and_the_whole_image(minimal, photos):
    search = SelectiveSearch(min_size=100, max_side=None)
    for image, boxes in photos:
        height, width = image.shape[:2]
        kept, relaxed = ProposalFilter()(search(image[..., ::-1]), width, height)
        expected = [] if relaxed else sorted(kept.tolist())
        assert sorted(boxes[:-1].tolist()) == expected
        assert boxes[-1].tolist() == [0, 0, width, height]
    assert sum(len(boxes) > 5 for _, boxes in photos) >= 4


def test_samples_follow_each_object_into_all_views(minimal, photos):
    """A marked object is inside its box in all three views."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        image = np.zeros((300, 400, 3), np.uint8)
        image[100:200, 120:220] = 255
        proposals = np.float32([[120, 100, 220, 200], [0, 0, 400, 300]])
        views, boxes, valid = minimal.sample(image, proposals, rng)
        assert valid.tolist() == [True, False, False, False]
        assert [view.shape for view in views] == [(3, 224, 224)] * 2 + [(3, 112, 112)]
        for view, box in zip(views, boxes):
            ys, xs = np.nonzero(view.max(0) > view.min() + 1e-3)
            seen = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
            # Jitter moves an edge by at most 0.15 of the side, the blur of
            # resizing by 2 pixels.
            limit = 0.15 * (seen[2:] - seen[:2]).max() + 2
            assert np.abs(box - seen).max() <= limit
    views, boxes, valid = minimal.sample(image, proposals[1:], rng)
    assert valid.tolist() == [True, False, False, False]
    sides = boxes[0][:, 2:] - boxes[0][:, :2]
    assert (sides >= 0.8 * 224).all()  # the whole view


def test_it_runs_as_it_stands_and_its_loss_falls():
    done = subprocess.run(
        [sys.executable, FILE], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    losses = [float(each) for each in re.findall(r'loss +(-?[\d.]+)', done.stdout)]
    assert len(losses) == 30 and all(-8 <= each <= 8 for each in losses)
    assert np.mean(losses[-5:]) < losses[0] - 3
    source = FILE.read_text(encoding='utf-8')
    assert source.count('\n') <= 150
    assert not re.search('mmengine|mmdet|mmcv|import soco_mm', source)
