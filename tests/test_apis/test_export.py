import copy
import json

import pytest
import small
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.runner import load_checkpoint

from soco_mm.apis.export import export_detector
from soco_mm.checkpoint.pretrained import Pretrained
from soco_mm.detectors.build import build_detector
from soco_mm.detectors.features import compare_features
from soco_mm.detectors.fit import WEIGHTS, HandOff, fit_detector
from soco_mm.detectors.mask_rcnn import FPN_CONFIG as CONFIG
from soco_mm.engine.config import load_config
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError, UsageError


@pytest.fixture
def cfg():
    return load_config(small.SOCO, small.USUAL_FPN)


@pytest.fixture
def model(cfg):
    torch.manual_seed(0)
    return revert_sync_batchnorm(MODELS.build(cfg.model))


@pytest.fixture
def checkpoint(model, tmp_path):
    """A training checkpoint, batch norm statistics moved."""
    model.train()
    model.online_net(
        torch.randn(2, 3, 64, 64), torch.tensor([[[0.0, 0.0, 40.0, 40.0]]] * 2)
    )
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(meta={}, state_dict=model.state_dict()), path)
    return path


def test_detector_is_filled_with_the_pretrained_weights(
    cfg, checkpoint, model, tmp_path, demo_images
):
    report = export_detector(
        checkpoint, tmp_path / 'exported', config=cfg, image=demo_images / 'coffee.jpg'
    )
    assert report.max_difference < 1e-4 and report.unused == []
    counts = {
        name: (len(part.filled), len(part.new)) for name, part in report.parts.items()
    }
    online = model.state_dict()

    def number(prefix):
        return sum(name.startswith(prefix) for name in online)

    assert counts['backbone'] == (number('backbone.'), 0)
    assert counts['neck'] == (number('neck.'), 0)
    # fc_cls and fc_reg are new.
    assert counts['box head'] == (number('roi_head.bbox_head.'), 4)
    assert counts['RPN'][0] == counts['mask head'][0] == 0
    saved = json.loads((tmp_path / 'exported/report.json').read_text())
    assert saved == report.to_dict()
    assert not list(tmp_path.rglob('*.partial'))

    # What MMEngine's Runner does with load_from.
    detector = build_detector(tmp_path / 'exported' / CONFIG)
    load_from = Config.fromfile(tmp_path / 'exported' / CONFIG).load_from
    assert load_from == str(tmp_path / 'exported' / WEIGHTS)
    load_checkpoint(detector, load_from)
    for name, value in detector.state_dict().items():
        if name in online:
            assert torch.equal(value, online[name]), name
    exported = torch.load(load_from)['state_dict']
    assert not [
        name
        for name in exported
        if name.startswith(('target_net', 'projector', 'head'))
    ]


def test_training_checkpoint_fills_the_detector_as_it_is(
    cfg, checkpoint, model, tmp_path
):
    export_detector(checkpoint, tmp_path / 'exported', config=cfg)
    detector = build_detector(tmp_path / 'exported' / CONFIG)
    load_checkpoint(detector, str(checkpoint))
    model.eval()
    assert compare_features(model, detector, torch.randn(1, 3, 96, 96)) < 1e-4
    assert torch.equal(
        detector.roi_head.bbox_head.shared_fcs[0].weight,
        model.roi_head.bbox_head.shared_fcs[0].weight,
    )


def test_config_sets_the_papers_optimisation_and_norms(cfg, checkpoint, tmp_path):
    export_detector(checkpoint, tmp_path / 'exported', config=cfg)
    detector = Config.fromfile(tmp_path / 'exported' / CONFIG)
    assert detector.optim_wrapper.optimizer == dict(
        type='SGD', lr=0.02, momentum=0.9, weight_decay=2.5e-5
    )
    assert detector.param_scheduler[0].end == 1000
    assert detector.param_scheduler[1].milestones == [8, 11]
    model = detector.model
    for part in (
        model.backbone,
        model.neck,
        model.roi_head.bbox_head,
        model.roi_head.mask_head,
    ):
        assert part.norm_cfg == dict(type='SyncBN', requires_grad=True)
    assert model.backbone.frozen_stages == -1
    assert not model.backbone.norm_eval and model.backbone.init_cfg is None


def test_checkpoint_of_another_architecture_is_refused(checkpoint, tmp_path):
    r50 = load_config(small.SOCO, {'model.backbone.depth': 50})
    with pytest.raises(SoCoError, match='another architecture'):
        export_detector(checkpoint, tmp_path / 'exported', config=r50)
    assert [path.name for path in tmp_path.iterdir()] == ['epoch_1.pth']


def test_missing_tensor_and_foreign_checkpoint_are_refused(cfg, checkpoint, tmp_path):
    state = torch.load(checkpoint)['state_dict']
    state.pop('neck.fpn_convs.2.bn.running_mean')
    torch.save(dict(state_dict=state), checkpoint)
    with pytest.raises(
        SoCoError, match='missing tensor neck.fpn_convs.2.bn.running_mean'
    ):
        export_detector(checkpoint, tmp_path / 'exported', config=cfg)
    torch.save(dict(state_dict={'fc.weight': torch.ones(1)}), checkpoint)
    with pytest.raises(SoCoError, match='no backbone'):
        export_detector(checkpoint, tmp_path / 'exported', config=cfg)
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/notes').write_text('')
    with pytest.raises(UsageError, match='is not an export'):
        export_detector(checkpoint, tmp_path / 'mine', config=cfg)


def test_what_a_checkpoint_says_of_its_images_counts_before_the_config(
    cfg, model, tmp_path
):
    trained = copy.deepcopy(cfg)
    trained.model.data_preprocessor = dict(
        type='soco_mm.ViewDataPreprocessor', mean=[9.0, 8.0, 7.0], std=[1.0, 1.0, 1.0]
    )
    small.save(tmp_path / 'epoch_1.pth', model, trained)
    export_detector(tmp_path / 'epoch_1.pth', tmp_path / 'exported', config=cfg)
    pixels = Config.fromfile(tmp_path / 'exported' / CONFIG).model.data_preprocessor
    assert (pixels.mean, pixels.std) == ([9.0, 8.0, 7.0], [1.0, 1.0, 1.0])
    trained.model.backbone.avg_down = True
    small.save(tmp_path / 'epoch_1.pth', model, trained)
    with pytest.raises(SoCoError, match='is not of this config: .* avg_down=True'):
        export_detector(tmp_path / 'epoch_1.pth', tmp_path / 'other', config=cfg)


def test_detector_that_computes_something_else_is_noticed(
    cfg, checkpoint, model, tmp_path
):
    export_detector(checkpoint, tmp_path / 'exported', config=cfg)
    detector = build_detector(tmp_path / 'exported' / CONFIG)
    load_checkpoint(detector, str(checkpoint))
    detector.neck.lateral_convs[0].bn.eps = 1.0
    with pytest.raises(SoCoError, match='features differ'):
        compare_features(model.eval(), detector, torch.randn(1, 3, 96, 96))


# Some cannot be.
NARROW = {
    'soco_r50_c4_100e': {},
    'soco_swin-t_fpn_100e': small.SWIN | small.BOX_HEAD,
    'soco_convnext-t_fpn_100e': small.CONVNEXT | small.BOX_HEAD,
    'ablations/table4-3_fpn': small.R50,
    'ablations/table4-2_selective-search': {},
}


@pytest.mark.parametrize(
    'name, filled, new',
    [
        ('soco_r50_c4_100e', ['backbone', 'shared head'], ['RPN']),
        ('soco_swin-t_fpn_100e', ['backbone', 'neck'], ['RPN', 'mask head']),
        ('soco_convnext-t_fpn_100e', ['backbone', 'neck'], ['RPN', 'mask head']),
        ('ablations/table4-3_fpn', ['backbone', 'neck'], ['box head']),
        ('ablations/table4-2_selective-search', ['backbone'], ['neck', 'box head']),
    ],
)
def test_other_models_fit_detectors_of_theirs(name, filled, new, tmp_path):
    cfg = load_config(name, NARROW[name] | small.MLP)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.weight.data.uniform_(0.5, 1)
    if not NARROW[name]:
        small.tie_inputs(model)
    small.save(tmp_path / 'c.pth', model)
    report = export_detector(tmp_path / 'c.pth', tmp_path / 'out', config=cfg)
    assert report.max_difference < 1e-4 and report.unused == []
    for part in filled:
        assert not report.parts[part].new and report.parts[part].filled, part
    for part in new:
        assert not report.parts[part].filled and report.parts[part].new, part
    detector = build_detector(report.config)
    load_checkpoint(detector, str(tmp_path / 'out' / WEIGHTS))
    saved = detector.state_dict()
    for key, value in model.state_dict().items():
        if key.startswith(('backbone.', 'neck.', 'roi_head.')):
            assert torch.equal(saved[key], value), key


def test_c4_detector_reads_images_as_the_pretraining_does(tmp_path):
    from soco_mm.detectors.mask_rcnn import detector_config

    name, text = detector_config(load_config('soco_r50_c4_100e').model, 'w')
    (tmp_path / name).write_text(text)
    cfg = Config.fromfile(tmp_path / name)
    ours = load_config('soco_r50_c4_100e').model
    assert cfg.model.data_preprocessor.mean == [123.675, 116.28, 103.53]
    assert cfg.model.data_preprocessor.bgr_to_rgb
    for part, mine in (
        (cfg.model.backbone, ours.backbone),
        (cfg.model.roi_head.shared_head, ours.roi_head.shared_head),
    ):
        assert part.style == mine.style == 'pytorch'
        assert not part.norm_eval and part.norm_cfg.type == 'SyncBN'
    assert cfg.model.backbone.frozen_stages == -1
    assert cfg.model.backbone.init_cfg is None


GN = dict(type='GN', requires_grad=True, num_groups=32)
SYNC_BN = dict(type='SyncBN', requires_grad=True)


@pytest.mark.parametrize(
    'recipe, options, norms',
    [
        ('soco_r18_fpn_quick', {'norm': 'GN'}, dict(backbone=GN, neck=GN, mask=GN)),
        # Of one GPU; the detector has few images there.
        ('soco_r18_fpn_quick', {'norm': 'BN'}, dict(backbone=SYNC_BN, neck=SYNC_BN)),
        (
            'soco_r18_fpn_quick',
            {'model.neck.norm_cfg': None},
            dict(backbone=SYNC_BN, neck=None, mask=SYNC_BN),
        ),
        (
            'soco_r18_fpn_quick',
            {'model.neck.norm_cfg.eps': 1e-3},
            dict(backbone=SYNC_BN, neck=SYNC_BN | dict(eps=1e-3)),
        ),
        ('soco_r50_c4_100e', {'norm': 'GN'}, dict(backbone=GN)),
        (small.SOCO, {}, dict(backbone=SYNC_BN, neck=SYNC_BN)),  # 32 channels
    ],
)
def test_the_detector_has_the_norms_and_widths_of_the_model(
    recipe, options, norms, tmp_path
):
    model = load_config(recipe, options).model
    pretrained = Pretrained.untrained(model)
    fitted = fit_detector(pretrained, tmp_path, HandOff())
    assert fitted.report.max_difference < 1e-4 and not fitted.report.unused
    assert set(fitted.weights) == set(pretrained.weights)
    written = Config.fromfile(tmp_path / fitted.config).model
    parts = dict(
        backbone=written.backbone,
        neck=written.get('neck'),
        mask=written.roi_head.mask_head,
    )
    for name, norm in norms.items():
        assert parts[name].norm_cfg == norm, name
    if model.get('neck'):
        built = build_detector(tmp_path / fitted.config)
        maps = built.extract_feat(torch.rand(1, 3, 64, 64))
        assert {each.shape[1] for each in maps} == {model.neck.out_channels}
        # The layers behind the neck take what it gives.
        built.rpn_head(maps)
        box = torch.tensor([[0.0, 0, 0, 40, 40]])
        built.roi_head._bbox_forward(maps, box)
        built.roi_head._mask_forward(maps, box)
