import pytest
import torch
from mmcv.ops import roi_align
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm

from soco_mm.checkpoint import detector_weights
from soco_mm.detectors.build import build_detector
from soco_mm.engine.config import load_config
from soco_mm.models import ResLayerExtraNorm
from soco_mm.registry import MODELS


def build():
    cfg = load_config('soco_r50_c4_100e')
    cfg.model.projector.hid_channels = 16
    cfg.model.head.predictor.hid_channels = 16
    torch.manual_seed(0)
    return revert_sync_batchnorm(MODELS.build(cfg.model)), cfg


def test_names_and_shapes_are_those_of_mmdetections_c4_detectors(tmp_path):
    model, _ = build()
    (tmp_path / 'c4.py').write_text(
        "_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py'\n"
        'model = dict(backbone=dict(init_cfg=None))\n'
    )
    assert Config.fromfile(tmp_path / 'c4.py').model.backbone.num_stages == 3
    detector = build_detector(tmp_path / 'c4.py').state_dict()
    ours = {
        name: value.shape
        for name, value in detector_weights(model.state_dict()).items()
    }
    theirs = {
        name: value.shape
        for name, value in detector.items()
        if name.startswith(('backbone.', 'roi_head.shared_head.'))
    }
    assert ours == theirs and len(ours) == 318


def test_the_last_norm_of_every_residual_block_starts_at_zero():
    model, _ = build()
    model.init_weights()
    last = [
        module.norm3.weight
        for module in model.modules()
        if type(module).__name__ == 'Bottleneck'
    ]
    assert len(last) == 2 * 16  # both networks
    assert all(not weight.any() for weight in last)
    other = model.roi_head.shared_head.layer4[0].norm1.weight
    assert (other == 1).all()


def test_objects_are_res5_of_14x14_features_averaged():
    model, _ = build()
    model.eval()
    view = torch.randn(2, 3, 128, 128)
    boxes = torch.tensor([[[0.0, 0.0, 128.0, 128.0], [10.0, 20.0, 70.0, 90.0]]] * 2)
    with torch.no_grad():
        (feature,) = model.backbone(view)
        assert feature.shape == (2, 1024, 8, 8)
        rois = torch.cat(
            [torch.tensor([0.0, 0.0, 1.0, 1.0])[:, None], boxes.flatten(0, 1)], 1
        )
        # MMCV's operator reads the memory as NCHW.
        pooled = roi_align(feature.contiguous(), rois, (14, 14), 1 / 16, 0, 'avg', True)
        res5 = model.roi_head.shared_head.layer4(pooled)
        assert res5.shape == (4, 2048, 7, 7)
        expected = model.projector([res5.mean((2, 3))])[0]
        torch.testing.assert_close(
            model.online_net(view, boxes).flatten(0, 1), expected
        )


def test_the_norm_after_res5_is_mmselfsups():
    theirs = pytest.importorskip('mmselfsup.models.utils').ResLayerExtraNorm
    args = dict(depth=50, stage=3, stride=2, norm_cfg=dict(type='BN'))
    torch.manual_seed(0)
    expected, ours = theirs(**args), ResLayerExtraNorm(**args)
    expected.train(), ours.train()  # MMDetection's returns None
    ours.load_state_dict(expected.state_dict())
    x = torch.randn(2, 1024, 4, 4)
    assert torch.equal(ours(x), expected(x))
    for name, value in expected.state_dict().items():
        assert torch.equal(value, ours.state_dict()[name]), name
