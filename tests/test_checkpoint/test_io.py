"""NaN and infinity in checkpoints are refused by name."""

import json
import math

import pytest
import small
import torch

from soco_mm.apis.export import export_detector, export_weights
from soco_mm.apis.importing import import_released
from soco_mm.checkpoint import read_checkpoint
from soco_mm.checkpoint.libraries.files import LIBRARIES
from soco_mm.detectors.training import check_weights
from soco_mm.engine.config import load_config
from soco_mm.evaluation import load_backbone
from soco_mm.evaluation.probe_config import read_backbone
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError, write_json
from soco_mm.utils.finite import non_finite

NAME = 'backbone.layer1.0.conv1.weight'


@pytest.fixture(scope='module')
def poisoned(tmp_path_factory):
    """A checkpoint whose second convolution holds NaN."""
    state = MODELS.build(load_config(small.SOCO).model).state_dict()
    state[NAME][0, 0, 0, 0] = math.nan
    path = tmp_path_factory.mktemp('poisoned') / 'epoch_9.pth'
    torch.save(dict(state_dict=state, meta={}), path)
    return path


def export_folder(path, out):
    export_detector(path, out, config=load_config(small.SOCO))


def probe(path, out):
    read_backbone(path, small.SOCO)


def features(path, out):
    backbone = load_config(small.SOCO).model.backbone
    load_backbone(MODELS.build(backbone), path)


def finetuned(path, out):
    check_weights(MODELS.build(load_config(small.SOCO).model), path)


@pytest.mark.parametrize('use', [export_folder, probe, features, finetuned])
def test_every_use_of_a_checkpoint_names_what_is_not_finite(poisoned, tmp_path, use):
    with pytest.raises(SoCoError, match=f'NaN or infinity in {NAME}. Use'):
        use(poisoned, tmp_path / 'out')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('format_', LIBRARIES)
def test_no_format_is_written_of_it(poisoned, tmp_path, format_):
    out = (tmp_path / 'out').with_suffix(LIBRARIES[format_].suffix)
    with pytest.raises(SoCoError, match=NAME):
        export_weights(poisoned, out, config=load_config(small.SOCO), format=format_)
    assert not list(tmp_path.iterdir())


def test_a_released_checkpoint_with_infinity_is_not_imported(tmp_path):
    weight = torch.ones(2)
    weight[1] = -math.inf
    torch.save(
        dict(model={'module.encoder.conv1.weight': weight}, epoch=3),
        tmp_path / 'released.pth',
    )
    with pytest.raises(SoCoError, match='in module.encoder.conv1.weight. U'):
        import_released(tmp_path / 'released.pth', tmp_path / 'out.pth')
    assert not (tmp_path / 'out.pth').exists()


def test_what_the_optimiser_gathered_does_not_matter_elsewhere(tmp_path):
    bad = torch.tensor([math.nan])
    torch.save(
        dict(state_dict={}, optimizer=dict(state={0: dict(m=bad)})), tmp_path / 'x.pth'
    )
    assert read_checkpoint(tmp_path / 'x.pth')['optimizer']


def test_tensors_of_all_kinds_are_looked_at():
    bad, good = torch.tensor([1.0, math.nan]), torch.ones(3)
    assert non_finite(
        dict(
            a=[good, dict(b=bad.half())],
            c=torch.ones(2, dtype=torch.long),
            d=torch.zeros(0),
            e=(bad.bfloat16(),),
            f='text',
            g=3,
        )
    ) == ['a.1.b', 'e.0']


def test_results_stay_json(tmp_path):
    write_json(
        tmp_path / 'x.json', dict(a=math.nan, b=[math.inf, 2], c='NaN', d=None, e=True)
    )
    assert json.loads(
        (tmp_path / 'x.json').read_text(), parse_constant=pytest.fail
    ) == dict(a=None, b=[None, 2], c='NaN', d=None, e=True)
