"""Files of weights are told apart by their content, and nothing in them is run."""

import argparse
import pickle

import numpy as np
import pytest
import torch
from attack import Attack
from mmengine.logging import HistoryBuffer

from soco_mm.checkpoint.weights_file import read_weights
from soco_mm.utils import SoCoError, UsageError

WEIGHTS = {
    'conv1.weight': torch.arange(24.0).view(2, 3, 2, 2),
    'bn1.bias': torch.ones(2),
}


def pickled(path, **content):
    arrays = {name: value.numpy() for name, value in WEIGHTS.items()}
    path.write_bytes(pickle.dumps(dict(model=arrays, **content)))


def saved(path, **content):
    torch.save(dict(state_dict=WEIGHTS, **content), path)


def saved_as_before_zip_files(path):
    torch.save(dict(model=WEIGHTS), path, _use_new_zipfile_serialization=False)


def saved_as_they_are(path):
    torch.save({f'module.{name}': value for name, value in WEIGHTS.items()}, path)


def saved_tensors(path):
    pytest.importorskip('safetensors')
    from safetensors.torch import save_file

    save_file(WEIGHTS, path)


WRITERS = [pickled, saved, saved_as_before_zip_files, saved_as_they_are, saved_tensors]


@pytest.mark.parametrize('write', WRITERS)
def test_each_kind_is_known_by_its_content(write, tmp_path):
    path = tmp_path / 'weights.txt'
    write(path)
    found = read_weights(path)
    assert set(found.weights) == set(WEIGHTS)
    for name, value in WEIGHTS.items():
        assert torch.equal(found.weights[name], value)


def test_the_log_of_a_training_beside_the_weights_is_not_loaded(tmp_path):
    """MMEngine pickles objects for it, and functions by ``getattr``."""
    history = HistoryBuffer()
    history.update(1.0)
    hub = dict(log_scalars=dict(loss=history), runtime_info=dict(loss=np.float64(3)))
    saved(tmp_path / 'a.pth', message_hub=hub, args=argparse.Namespace(lr=0.1))
    found = read_weights(tmp_path / 'a.pth')
    assert torch.equal(found.weights['bn1.bias'], torch.ones(2))
    loaded = found.content['message_hub']['log_scalars']['loss']
    assert not isinstance(loaded, HistoryBuffer)


def test_no_object_in_a_file_is_made(tmp_path):
    attack = Attack(tmp_path / 'attacked')
    for write in (pickled, saved):
        write(tmp_path / 'a', other=attack)
        with pytest.raises(SoCoError, match=r'a holds more than .*could run code'):
            read_weights(tmp_path / 'a')
    for call in (getattr, eval, print):
        (tmp_path / 'b').write_bytes(pickle.dumps(dict(model=call)))
        with pytest.raises(SoCoError, match=f'builtins.{call.__name__}'):
            read_weights(tmp_path / 'b')
    assert not (tmp_path / 'attacked').exists()


def test_infinite_numbers_are_refused_in_every_kind(tmp_path, monkeypatch):
    monkeypatch.setitem(WEIGHTS, 'bn1.bias', torch.tensor([1.0, float('inf')]))
    for write in WRITERS:
        write(tmp_path / 'a')
        with pytest.raises(SoCoError, match=r'NaN or infinity in .*bn1\.bias'):
            read_weights(tmp_path / 'a')


def test_moco_and_pixpro_are_not_the_released_code(tmp_path):
    weights = {'backbone.conv1.weight': WEIGHTS['conv1.weight']}
    targets = {'encoder_k.0.conv1.weight': WEIGHTS['conv1.weight']}
    torch.save(dict(state_dict={**weights, **targets}), tmp_path / 'moco.pth')
    assert not read_weights(tmp_path / 'moco.pth').is_released
    both = {'encoder.conv1.weight': WEIGHTS['conv1.weight'], **targets}
    for layer, released in (('conv1', False), ('linear1', True)):  # PixPro's, SoCo's
        weights = {**both, f'projector.{layer}.weight': WEIGHTS['bn1.bias']}
        torch.save(dict(model=weights), tmp_path / 'soco.pth')
        assert read_weights(tmp_path / 'soco.pth').is_released is released


def test_other_files_get_a_sentence(tmp_path):
    path = tmp_path / 'a'
    for content, message in (
        (b'', 'an empty file'),
        (b'hello\n', 'is not a checkpoint'),
        (b'\x80\x03}q\x00', 'is not a pickle of arrays'),
        (pickle.dumps([1, 2]), 'no dictionary of weights'),
        (pickle.dumps(dict(a=1)), 'no weights of a model, only'),
    ):
        path.write_bytes(content)
        with pytest.raises(SoCoError, match=message):
            read_weights(path)
    torch.save(dict(optimizer=dict(state={}, param_groups=[])), path)
    with pytest.raises(SoCoError, match='no weights of a model, only optimizer'):
        read_weights(path)
    with pytest.raises(UsageError, match='There is no checkpoint'):
        read_weights(tmp_path / 'nothing')
    with pytest.raises(UsageError, match='is a folder'):
        read_weights(tmp_path)


def test_truncated_safetensors_are_refused(tmp_path):
    saved_tensors(tmp_path / 'a')
    data = (tmp_path / 'a').read_bytes()
    (tmp_path / 'a').write_bytes(data[:-8])
    with pytest.raises(SoCoError, match='safetensors, or is truncated'):
        read_weights(tmp_path / 'a')
