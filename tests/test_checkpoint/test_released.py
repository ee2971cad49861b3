import argparse

import golden
import pytest
import torch

from soco_mm.checkpoint import convert_released
from soco_mm.checkpoint.released import convert_name
from soco_mm.cli import main
from soco_mm.utils import SoCoError, UsageError


@pytest.mark.parametrize(
    'released, here',
    [
        (
            'module.encoder.layer1.0.downsample.1.running_var',
            'backbone.layer1.0.downsample.1.running_var',
        ),
        (
            'module.neck_k.lateral_convs.0.bn.bias',
            'target_net.module.neck.lateral_convs.0.bn.bias',
        ),
        ('module.head.conv4.weight', 'roi_head.bbox_head.shared_convs.3.conv.weight'),
        (
            'module.head_k.bn1.num_batches_tracked',
            'target_net.module.roi_head.bbox_head.shared_convs.0.bn.'
            'num_batches_tracked',
        ),
        ('module.head.fc1.bias', 'roi_head.bbox_head.shared_fcs.0.bias'),
        ('module.projector.linear2.weight', 'projector.fc1.weight'),
        ('module.predictor.bn1.running_mean', 'head.predictor.bn0.running_mean'),
    ],
)
def test_names(released, here):
    assert convert_name(released) == here


def names():
    return dict.fromkeys(golden.released_shapes(), torch.zeros(1))


def test_names_stay_distinct():
    assert len(convert_released(names())) == len(names())


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda d: d.update({'module.mask.weight': 0}), 'module.mask.weight'),
        (lambda d: d.update({'module.head.relu.weight': 0}), 'head.relu.weight'),
        (lambda d: d.pop('module.encoder_k.conv1.weight'), 'lacks backbone.conv1'),
        (
            lambda d: [d.pop(k) for k in list(d) if 'predictor' in k],
            'no module.predictor',
        ),
    ],
)
def test_entry_too_many_or_missing_is_refused(change, message):
    state = names()
    change(state)
    with pytest.raises(SoCoError, match=message):
        convert_released(state)


def fails(capsys, arguments, code):
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    assert exit_.value.code == code
    return capsys.readouterr().err


def test_files_that_are_not_released_checkpoints(tmp_path, capsys):
    out = tmp_path / 'out.pth'
    bad = tmp_path / 'bad.pth'
    assert 'no checkpoint' in fails(capsys, ['import', bad, '--out', out], 2)
    bad.write_bytes(b'PK\3\4 not a checkpoint')
    assert 'truncated' in fails(capsys, ['import', bad, '--out', out], 1)
    torch.save(dict(state_dict={}), bad)
    assert '"model"' in fails(capsys, ['import', bad, '--out', out], 1)
    torch.save(dict(model=names()), bad)
    bad.write_bytes(bad.read_bytes()[:-200])
    assert 'truncated' in fails(capsys, ['import', bad, '--out', out], 1)
    torch.save(dict(model=lambda_like), bad)
    assert 'could run code' in fails(capsys, ['import', bad, '--out', out], 1)
    torch.save(dict(model=names()), bad)
    assert 'cannot be made' in fails(
        capsys, ['import', bad, '--out', bad / 'below.pth'], 2
    )
    assert [path.name for path in tmp_path.iterdir()] == ['bad.pth']


def lambda_like():
    """A function, which a pickle would import."""


def c4_names():
    return dict.fromkeys(
        (
            name
            for name in golden.released_shapes()
            if not name.startswith(('module.neck', 'module.head'))
        ),
        torch.zeros(1),
    )


@pytest.mark.parametrize(
    'released, here',
    [
        ('module.encoder.layer3.0.conv1.weight', 'backbone.layer3.0.conv1.weight'),
        ('module.encoder.layer4.2.bn3.bias', 'roi_head.shared_head.layer4.2.bn3.bias'),
        (
            'module.encoder_k.layer4.0.downsample.0.weight',
            'target_net.module.roi_head.shared_head.layer4.0.downsample.0.weight',
        ),
        ('module.projector_k.linear1.bias', 'target_net.module.projector.fc0.bias'),
    ],
)
def test_names_of_c4(released, here):
    converted = convert_released(c4_names())
    assert len(converted) == len(c4_names())
    assert convert_name(released, 'C4') == here and here in converted


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda d: d.update({'module.fc.weight': 0}), 'fc.weight .* C4 layout'),
        (
            lambda d: d.pop('module.encoder_k.layer4.0.conv1.weight'),
            'lacks roi_head.shared_head.layer4.0.conv1',
        ),
        (
            lambda d: [d.pop(k) for k in list(d) if 'layer4' in k],
            'no module.encoder.layer4',
        ),
        (
            lambda d: d.update({'module.neck.lateral_convs.0.conv.weight': 0}),
            'no module.head',
        ),
    ],
)
def test_c4_entry_too_many_or_missing_is_refused(change, message):
    state = c4_names()
    change(state)
    with pytest.raises(SoCoError, match=message):
        convert_released(state)


def test_an_import_says_its_model_and_is_exported_without_a_config(tmp_path):
    from soco_mm.apis.export import export_detector
    from soco_mm.apis.importing import import_released

    for layout, names_ in (('fpn', golden.released_shapes()), ('c4', c4_shapes())):
        source, out = tmp_path / 'released.pth', tmp_path / f'{layout}.pth'
        # Views of one output channel, so that the files are small.
        weights = {
            name: golden.fill(name, (1, *shape[1:])[: len(shape)]).expand(shape)
            for name, shape in names_.items()
        }
        # The released code keeps its arguments in it.
        options = argparse.Namespace(batch_size=128)
        torch.save(dict(model=weights, opt=options, epoch=100), source)
        import_released(source, out)
        folder = tmp_path / layout
        report = export_detector(out, folder)
        assert f'_{layout}_' in report.config
        assert report.max_difference < 1e-4
        assert report.parts['backbone'].new == []
    before = source.read_bytes()
    for taken in (source, out):  # its own source, and an earlier import
        with pytest.raises(UsageError, match='already holds a checkpoint'):
            import_released(source, taken)
    assert source.read_bytes() == before


def c4_shapes():
    """Those of FPN without neck and head; the projectors read res5."""
    return {
        name: (
            (4096, 2048)
            if 'projector' in name and name.endswith('linear1.weight')
            else shape
        )
        for name, shape in golden.released_shapes().items()
        if not name.startswith(('module.neck', 'module.head'))
    }


def test_names_without_module_are_imported_too():
    plain = {key.removeprefix('module.'): v for key, v in names().items()}
    assert convert_released(plain) == convert_released(names())
