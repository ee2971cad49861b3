"""Exports to other libraries compute there what the pretrained model does."""

import copy
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import other_libraries
import pytest
import small
import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope

from soco_mm.apis.export import export_weights
from soco_mm.checkpoint import detector_weights
from soco_mm.checkpoint.libraries.files import LIBRARIES
from soco_mm.checkpoint.libraries.pixels import pixel_note
from soco_mm.cli import main
from soco_mm.detectors.features import features, load_input
from soco_mm.engine.config import load_config
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError, UsageError

R18, R50 = 'soco_r18_fpn_quick', 'soco_r50_fpn_100e'
C4 = 'soco_r50_c4_100e'
SWIN, CONVNEXT = 'soco_swin-t_fpn_100e', 'soco_convnext-t_fpn_100e'
IMAGE = Path(__file__).parents[2] / 'demo/images/coffee.jpg'


class Pretrained:
    """A training checkpoint with statistics of its own, and its model.

    Args:
        folder (Path): An empty folder.
        name (str | Path): The recipe.
        usual (bool): Whether it has the widths of other libraries, and not
            few channels where a format takes any.
        **backbone: What is other than in the recipe.
    """

    def __init__(self, folder, name, usual=False, **backbone):
        options = {}
        if not usual and name in (SWIN, CONVNEXT):
            options = small.RECIPES[name]
        elif not usual and name in (R18, R50):
            options = small.BOX_HEAD
        cfg = load_config(name, options)
        cfg.model.projector.hid_channels = 8
        cfg.model.head.predictor.hid_channels = 8
        cfg.model.backbone.update(backbone)
        if 'style' in backbone and 'shared_head' in cfg.model.roi_head:
            cfg.model.roi_head.shared_head.style = backbone['style']
        torch.manual_seed(0)
        self.net = revert_sync_batchnorm(MODELS.build(cfg.model)).eval()
        for module in self.net.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
                module.weight.data.uniform_(0.5, 1)
                module.bias.data.normal_()
                module.num_batches_tracked.fill_(7)
            elif isinstance(module, torch.nn.LayerNorm):
                module.weight.data.uniform_(0.5, 1)
                module.bias.data.normal_()
        for key, value in self.net.named_parameters():
            if key.endswith('relative_position_bias_table'):
                value.data.normal_()
        self.cfg = cfg
        self.path = folder / 'epoch_1.pth'
        small.save(self.path, self.net, cfg)

    @property
    def pixels(self):
        """Mean and standard deviation that normalise images, (2, 3)."""
        buffers = self.net.data_preprocessor
        return torch.stack([buffers.mean.flatten(), buffers.std.flatten()])

    @torch.no_grad()
    def features(self, inputs):
        found = features(self.net, inputs['image'])
        head = self.net.roi_head
        if head.bbox_head is not None:
            found['objects'] = head.bbox_head(inputs['rois'])
        elif head.shared_head is not None:
            found['objects'] = head.shared_head(inputs['rois']).mean((2, 3))
        return found


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory):
    """Models by name, each made once."""
    made = {}

    def get(name, **changes):
        key = (name, *changes)
        if key not in made:
            made[key] = Pretrained(
                tmp_path_factory.mktemp('pretrained'), name, **changes
            )
        return made[key]

    return get


def inputs(name=R50):
    """A real image, and pooled features of three objects."""
    channels, size = (1024, 14) if name == C4 else (256, 7)
    rois = torch.randn(
        3, channels, size, size, generator=torch.Generator().manual_seed(1)
    )
    image = load_input(IMAGE)
    if name == SWIN:
        # On maps no larger than a window timm does not shift it.
        image = torch.nn.functional.interpolate(image, scale_factor=2)
    return dict(image=image, rois=rois)


def assert_equal_features(ours, theirs, names):
    for name in names:
        difference = (ours[name] - theirs[name]).abs().max()
        assert difference < 1e-5 * ours[name].abs().max(), name
        assert ours[name].std() > 0, name


class NumPyOnly(pickle.Unpickler):
    """Makes arrays, and nothing else."""

    ALLOWED = {
        ('numpy.core.multiarray', '_reconstruct'),
        ('numpy', 'ndarray'),
        ('numpy', 'dtype'),
    }

    def find_class(self, module, name):
        assert (module, name) in self.ALLOWED, f'{module}.{name}'
        return super().find_class(module, name)


@pytest.mark.parametrize(
    'name, written',
    [
        (R18, dict(backbone=120, neck=48) | {'box head': 26}),
        (R50, dict(backbone=318, neck=48) | {'box head': 26}),
        (C4, dict(backbone=258) | {'shared head': 60}),
    ],
)
def test_detectron2s_pickle_holds_arrays_alone(pretrained, tmp_path, name, written):
    report = export_weights(
        pretrained(name).path, tmp_path / 'w.pkl', format='detectron2'
    )
    assert report.written == written
    with (tmp_path / 'w.pkl').open('rb') as stream:
        data = NumPyOnly(stream, encoding='latin1').load()
    assert len(data['model']) == sum(written.values())
    assert data['__author__'] == 'soco_mm'
    assert data['matching_heuristics'] is False


def need(*libraries):
    """Skip a test where one of these libraries is not installed."""
    for library in libraries:
        if not (other_libraries.FOLDER / library).is_dir():
            pytest.skip(
                f'there is no {library} in {other_libraries.FOLDER}; '
                'tests/install_other_libraries.sh installs it'
            )


def compute(jobs, folder):
    """What other libraries compute, all in one process.

    Args:
        jobs (list): Library, model, checkpoint, and inputs of each.
        folder (Path): An empty folder.
    """
    todo = []
    for number, (library, model, checkpoint, given) in enumerate(jobs):
        path = folder / f'{number}{LIBRARIES[library].suffix}'
        export_weights(checkpoint, path, format=library)
        torch.save(given, f'{path}.inputs')
        todo.append([library, model, str(path)])
    done = subprocess.run(
        [
            sys.executable,
            other_libraries.__file__,
            json.dumps(todo),
            folder / 'results.pth',
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return torch.load(folder / 'results.pth')


# Of its model zoo, by what was pretrained.
DETECTRON2 = {
    'mask R18': (R18, 'COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml'),
    'mask R50': (R50, 'COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml'),
    'faster': (R50, 'COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml'),
    'retinanet': (R50, 'COCO-Detection/retinanet_R_50_FPN_1x.yaml'),
    'cascade': (R50, 'Misc/cascade_mask_rcnn_R_50_FPN_1x.yaml'),
    'C4': (C4, 'COCO-InstanceSegmentation/mask_rcnn_R_50_C4_1x.yaml'),
    'C4 caffe': (C4, 'COCO-InstanceSegmentation/mask_rcnn_R_50_C4_1x.yaml'),
}


def detectron2_checkpoint(pretrained, detector):
    style = dict(style='caffe') if detector.endswith('caffe') else {}
    return pretrained(DETECTRON2[detector][0], usual=True, **style)


@pytest.fixture(scope='module')
def detectron2_results(pretrained, tmp_path_factory):
    """What detectron2 computes, by detector."""
    need('detectron2')
    jobs = [
        (
            'detectron2',
            config,
            detectron2_checkpoint(pretrained, detector).path,
            inputs(name),
        )
        for detector, (name, config) in DETECTRON2.items()
    ]
    results = compute(jobs, tmp_path_factory.mktemp('detectron2'))
    return dict(zip(DETECTRON2, results))


@pytest.mark.parametrize('detector', DETECTRON2)
def test_detectron2_computes_the_same(pretrained, detectron2_results, detector):
    name = DETECTRON2[detector][0]
    model = detectron2_checkpoint(pretrained, detector)
    result = detectron2_results[detector]
    stages, levels, objects = (2, 3, 4, 5), (2, 3, 4, 5), ['objects']
    new = ('proposal_generator.', 'roi_heads.box_predictor.', 'roi_heads.mask_head.')
    unexpected = ()
    if name == C4:  # our C5 is the head on the whole feature map
        stages, levels = (4,), ()
    elif detector == 'retinanet':  # P6 and P7 are its own
        stages = levels = (3, 4, 5)
        objects = []
        new = ('backbone.top_block.', 'head.')
        unexpected = (
            'backbone.fpn_lateral2.',
            'backbone.fpn_output2.',
            'roi_heads.box_head.',
        )
    elif detector == 'cascade':  # a number more in the names of its heads
        objects = []
        new += ('roi_heads.box_head.',)
        unexpected = ('roi_heads.box_head.',)
    names = [f'C{n}' for n in stages] + [f'P{n}' for n in levels] + objects
    assert_equal_features(model.features(inputs(name)), result['features'], names)
    buffers = ('anchor_generator.', 'pixel_')
    starts_random = [
        key for key in result['missing'] if not any(part in key for part in buffers)
    ]
    assert starts_random and all(key.startswith(new) for key in starts_random)
    assert bool(result['unexpected']) == bool(unexpected)
    assert all(key.startswith(unexpected) for key in result['unexpected'])
    assert result['channels'] == 'RGB'
    assert torch.allclose(result['pixels'], model.pixels)


@pytest.fixture(scope='module')
def library_results(pretrained, tmp_path_factory):
    """What torchvision and timm compute, by library and pretrained model."""
    need('torchvision', 'timm')
    jobs = [
        ('torchvision', 'resnet18', R18),
        ('torchvision', 'resnet50', R50),
        ('timm', 'resnet18', R18),
        ('timm', 'resnet50', C4),
        ('timm', 'swin_tiny_patch4_window7_224', SWIN),
        ('timm', 'convnext_tiny', CONVNEXT),
    ]
    results = compute(
        [
            (library, model, pretrained(name, usual=True).path, inputs(name))
            for library, model, name in jobs
        ],
        tmp_path_factory.mktemp('libraries'),
    )
    return {
        (library, name): result for (library, _, name), result in zip(jobs, results)
    }


@pytest.mark.parametrize('name', [R18, R50])
def test_torchvisions_detector_computes_the_same(pretrained, library_results, name):
    result = library_results['torchvision', name]
    model = pretrained(name, usual=True)
    names = [f'{kind}{n}' for kind in 'CP' for n in (2, 3, 4, 5)]
    assert_equal_features(
        model.features(inputs()), result['features'], [*names, 'objects']
    )
    assert result['unexpected'] == []
    new = ('rpn.', 'roi_heads.box_predictor.', 'roi_heads.mask_')
    assert result['missing'] and all(key.startswith(new) for key in result['missing'])
    assert torch.allclose(result['pixels'], model.pixels)


@pytest.mark.parametrize('name, stages', [(R18, 'C2 C3 C4 C5'), (C4, 'C4 C5')])
def test_timms_resnet_computes_the_same(pretrained, library_results, name, stages):
    result = library_results['timm', name]
    assert_equal_features(
        pretrained(name, usual=True).features(inputs(name)),
        result['features'],
        stages.split(),
    )


@pytest.mark.parametrize('name', [SWIN, CONVNEXT])
def test_timms_swin_and_convnext_compute_the_same(pretrained, library_results, name):
    result = library_results['timm', name]
    model = pretrained(name, usual=True)
    backbone, ours = model.net.backbone, model.features(inputs(name))

    def norm(index, map_):  # ConvNeXt's takes NCHW, Swin's NHWC
        layer = getattr(backbone, f'norm{index}')
        if name == CONVNEXT:
            return layer(map_)
        return layer(map_.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    # timm's stages end before the norms.
    with torch.no_grad():
        theirs = {
            f'C{index + 2}': norm(index, result['features'][f'C{index + 2}'])
            for index in range(4)
        }
    assert_equal_features(ours, theirs, theirs)
    assert result['unexpected'] == []
    if name == SWIN:  # whose last norm is that of the last stage
        assert result['missing'] == []
        last = result['features']['last'].permute(0, 3, 1, 2)
        assert_equal_features(ours, dict(C5=last), ['C5'])
    else:
        assert result['missing'] == ['head.norm.weight', 'head.norm.bias']


@pytest.mark.parametrize(
    'name, theirs',
    [
        (R18, dict(type='ResNet', depth=18, out_indices=(0, 1, 2, 3))),
        (C4, dict(type='ResNet', depth=50, out_indices=(2, 3))),
        (
            SWIN,
            dict(
                type='SwinTransformer',
                arch=dict(embed_dims=24, depths=[2, 2, 6, 2], num_heads=[1, 2, 4, 8]),
                out_indices=(0, 1, 2, 3),
                pad_small_map=True,
            ),
        ),
        (
            CONVNEXT,
            dict(
                type='ConvNeXt',
                arch=dict(depths=[3, 3, 9, 3], channels=[24, 48, 96, 192]),
                out_indices=(0, 1, 2, 3),
                layer_scale_init_value=1.0,
                gap_before_final_norm=False,
            ),
        ),
    ],
)
def test_mmclassifications_backbone_computes_the_same(
    pretrained, tmp_path, name, theirs
):
    pytest.importorskip('mmcls.models')  # it registers them
    from mmcls.registry import MODELS as MMCLS_MODELS

    model, path = pretrained(name), tmp_path / 'backbone.pth'
    export_weights(model.path, path, format='mmpretrain')
    with DefaultScope.overwrite_default_scope('mmcls'):
        net = MMCLS_MODELS.build(
            dict(
                theirs,
                init_cfg=dict(
                    type='Pretrained', checkpoint=str(path), prefix='backbone'
                ),
            )
        )
        net.init_weights()
    net.eval()
    given = dict(inputs(name), image=load_input(IMAGE))
    ours = model.features(given)
    stages = [f'C{index + 2}' for index in theirs['out_indices']]
    with torch.no_grad():
        found = dict(zip(stages, net(given['image'])))
    assert_equal_features(ours, found, stages)


def test_safetensors_hold_what_a_detector_uses_tensor_by_tensor(pretrained, tmp_path):
    safetensors = pytest.importorskip('safetensors')
    from safetensors.torch import load_file

    for name in (small.SOCO, C4):
        model, path = pretrained(name), tmp_path / f'{Path(name).name}.safetensors'
        report = export_weights(model.path, path, format='safetensors')
        expected = detector_weights(model.net.state_dict())
        loaded = load_file(path)
        assert sum(report.written.values()) == len(loaded) == len(expected)
        for key, value in expected.items():
            assert torch.equal(loaded[key], value), key
            assert loaded[key].dtype == value.dtype, key
        with safetensors.safe_open(path, 'pt') as stream:
            metadata = stream.metadata()
        assert json.loads(metadata['model']) == json.loads(
            json.dumps(model.cfg.model.to_dict())
        )
        assert metadata['soco_mm_version']


@pytest.mark.parametrize('format_', ['safetensors', 'torchvision'])
def test_weights_in_other_layouts_and_shared_memory_are_written_plainly(
    pretrained, tmp_path, format_
):
    if format_ == 'safetensors':
        pytest.importorskip('safetensors')
    model = pretrained(small.SOCO if format_ == 'safetensors' else R18)
    state = detector_weights(model.net.state_dict())
    whole = torch.zeros(1_000_000)  # 4 MB
    for key, value in state.items():
        if value.ndim == 4:
            state[key] = value.contiguous(memory_format=torch.channels_last)
    first = 'backbone.bn1.weight'
    number = len(state[first])
    whole[:number] = state[first]
    state[first] = whole[:number]
    state['backbone.bn1.bias'] = state['backbone.bn1.running_mean'] = state[first]
    torch.save(dict(state_dict=state), tmp_path / 'c.pth')
    suffix = LIBRARIES[format_].suffix
    paths = tmp_path / f'a{suffix}', tmp_path / f'b{suffix}'
    cfg = model.cfg
    export_weights(tmp_path / 'c.pth', paths[0], config=cfg, format=format_)
    export_weights(model.path, paths[1], config=cfg, format=format_)
    assert paths[0].stat().st_size == paths[1].stat().st_size


def test_report_counts_what_was_written_and_left_out(pretrained, tmp_path, capsys):
    path = tmp_path / 'w.pth'
    main(['export', str(pretrained(R18).path), '--out', str(path), '--format', 'timm'])
    rows = {}
    *lines, last = capsys.readouterr().out.splitlines()
    for line in lines[1:]:
        *part, written, left_out = line.split()
        rows[' '.join(part)] = int(written), int(left_out)
    state = pretrained(R18).net.state_dict()

    def number(prefix):
        return sum(key.startswith(prefix) for key in state)

    assert rows == {
        'backbone': (120, 0),
        'neck': (0, 48),
        'box head': (0, 26),
        'target network': (0, number('target_net.')),
        'projector': (0, number('projector.')),
        'predictor': (0, number('head.')),
    }
    assert sum(map(sum, rows.values())) == len(state)
    assert f'{path}: 120 tensors' in last and 'resnet18 of timm' in last


@pytest.mark.parametrize(
    'format_, pattern, scale',
    [
        ('torchvision', r'image_mean=(.*), image_std=(.*)\.', 255),
        ('timm', r'mean=(.*), std=(.*)\.', 255),
        ('mmpretrain', r'mean=(.*), std=(.*), to_rgb=True\)\.', 1),
        ('safetensors', r'mean=(.*), std=(.*), bgr_to_rgb=True\.', 1),
    ],
)
def test_other_pixels_than_imagenets_are_said_in_the_librarys_numbers(
    pretrained, tmp_path, format_, pattern, scale
):
    if format_ == 'safetensors':
        pytest.importorskip('safetensors')
    model = pretrained(small.SOCO if format_ == 'safetensors' else R18)
    notes = {}
    for name, mean in (('usual', [124.0, 116, 103.6]), ('other', [90.0, 110, 125])):
        preprocessor = dict(type='ViewDataPreprocessor', mean=mean)
        cfg = copy.deepcopy(model.cfg)
        cfg.model.data_preprocessor = preprocessor
        path = tmp_path / f'{name}{LIBRARIES[format_].suffix}'
        notes[name] = export_weights(model.path, path, config=cfg, format=format_).note
    assert 'ImageNet' not in notes['usual']
    assert notes['other'].startswith(notes['usual'])
    found = re.search(pattern, notes['other'])
    mean, std = (torch.tensor(json.loads(each)) for each in found.groups())
    assert torch.allclose(mean * scale, torch.tensor([90.0, 110, 125]), atol=0.01)
    assert torch.allclose(std * scale, model.pixels[1], atol=0.01)


def test_mmpretrain_is_told_of_bgr():
    # With equal channels nothing else would tell.
    given = dict(mean=[100.0] * 3, std=[50.0] * 3, rgb_to_bgr=True)
    assert 'to_rgb=False' in pixel_note(dict(data_preprocessor=given), 'mmpretrain')
    assert pixel_note(dict(data_preprocessor=given), 'detectron2') == ''


@pytest.mark.parametrize('format_', ['detectron2', 'torchvision'])
def test_an_rpn_and_the_head_of_displaced_boxes_are_left_out(tmp_path, format_):
    cfg = load_config(R18, small.MLP | {'model.neck.num_outs': 5})
    plain = export_weights_of(tmp_path / 'plain', cfg, format_)
    rpn = copy.deepcopy(small.RPN) | dict(in_channels=256)
    cfg.model.update(
        rpn_head=rpn, box_head=dict(type='DisplacedBoxHead', in_channels=1024)
    )
    found = export_weights_of(tmp_path / 'boxes', cfg, format_)
    assert found.written == plain.written
    # Three convolutions with a bias, and a linear layer.
    others = {'RPN': 6, 'head of displaced boxes': 2}
    assert found.left_out == plain.left_out | others
    assert 'RPN' in found.describe()


def export_weights_of(folder, cfg, format_):
    """The report of an export of a config's model with random weights."""
    folder.mkdir()
    small.save(folder / 'c.pth', MODELS.build(cfg.model), cfg)
    out = folder / f'w{LIBRARIES[format_].suffix}'
    return export_weights(folder / 'c.pth', out, format=format_)


def test_what_was_exported_for_mmdetection_can_be_exported_again(pretrained, tmp_path):
    from soco_mm.apis.export import export_detector
    from soco_mm.detectors.fit import WEIGHTS

    export_detector(pretrained(R18).path, tmp_path / 'out')
    reports = [
        export_weights(path, tmp_path / f'{number}.pth', format='torchvision')
        for number, path in enumerate(
            (pretrained(R18).path, tmp_path / 'out' / WEIGHTS)
        )
    ]
    first, second = (torch.load(report.path) for report in reports)
    assert list(first) == list(second)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert 'projector' not in reports[1].left_out


def refused(folder, words, checkpoint, format_, error=SoCoError, cfg=None):
    out = folder / 'new' / f'w{LIBRARIES[format_].suffix}'
    with pytest.raises(error, match=words):
        export_weights(checkpoint, out, config=cfg, format=format_)
    assert not list(folder.rglob('w*'))


@pytest.mark.parametrize('format_', LIBRARIES)
def test_foreign_and_truncated_checkpoints_are_refused(pretrained, tmp_path, format_):
    path, bad = pretrained(small.SOCO).path, tmp_path / 'bad.pth'
    bad.write_bytes(path.read_bytes()[:-300])
    refused(tmp_path, 'truncated', bad, format_)
    torch.save(dict(state_dict={'fc.weight': torch.ones(1)}), bad)
    refused(tmp_path, 'does not say which model', bad, format_)
    refused(tmp_path, 'no backbone', bad, format_, cfg=load_config(R18))
    refused(tmp_path, 'another architecture', path, format_, cfg=load_config(R50))
    refused(tmp_path, 'There is no checkpoint', tmp_path / 'x', format_, UsageError)


def test_models_that_a_library_does_not_have_are_refused(pretrained, tmp_path):
    c4, swin = pretrained(C4).path, pretrained(SWIN).path
    refused(tmp_path, 'no detector on C4', c4, 'torchvision')
    for format_ in ('detectron2', 'torchvision'):
        refused(tmp_path, 'supports ResNets.*SwinTransformer', swin, format_)
    caffe = pretrained(R18, style='caffe').path
    refused(tmp_path, "backbone.style='caffe', only 'pytorch'", caffe, 'timm')
    deep = pretrained(R18, deep_stem=True).path
    for format_ in ('detectron2', 'torchvision', 'mmpretrain', 'timm'):
        refused(tmp_path, 'backbone.deep_stem=True', deep, format_)


def test_files_that_cannot_be_written_are_refused_first(pretrained, tmp_path, capsys):
    path = pretrained(R18).path
    for name, format_, words in (
        ('w.pth', 'detectron2', 'does not end in .pkl'),
        ('w.pkl', 'torchvision', 'does not end in .pth'),
        ('w.pth', 'onnx', 'no format onnx. Choose'),
        ('w.pth', 'torchvison', 'Did you mean torchvision?'),
    ):
        with pytest.raises(UsageError, match=words):
            export_weights(path, tmp_path / name, format=format_)
    (tmp_path / 'w.yaml').write_text('mine')
    with pytest.raises(UsageError, match='w.yaml already holds weights'):
        export_weights(path, tmp_path / 'w.pkl', format='detectron2')
    with pytest.raises(UsageError, match='already holds weights'):
        export_weights(path, path, format='timm')
    with pytest.raises(SystemExit) as stop:
        main(
            [
                'export',
                str(path),
                '--out',
                str(tmp_path / 'w.pth'),
                '--format',
                'timm',
                '--adapt',
            ]
        )
    assert stop.value.code == 2
    assert 'add --detector CONFIG, or leave them out' in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ['w.yaml']


def test_the_command_knows_every_format():
    from soco_mm.cli import handoff

    assert set(handoff.FORMATS) == set(LIBRARIES)
