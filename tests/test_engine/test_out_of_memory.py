"""Trainings that need more memory than there is."""

import pytest
import small
import torch
from mmengine.hooks import Hook

from soco_mm.engine.out_of_memory import memory_named
from soco_mm.engine.training import train_model
from soco_mm.errors import SoCoError
from soco_mm.registry import HOOKS

ON_A_GPU = (
    'CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of '
    '79.10 GiB of which 1.20 GiB is free.'
)


@HOOKS.register_module()
class GreedyHook(Hook):
    """Ask for more memory than there is, in the second iteration."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 1:
            raise torch.OutOfMemoryError(ON_A_GPU)


def test_a_pretraining_says_what_to_do(store, demo_images, tmp_path):
    cfg = small.training(store, demo_images, hooks=[dict(type='GreedyHook')])
    with pytest.raises(SoCoError) as stopped:
        train_model(cfg, tmp_path / 'run')
    said = str(stopped.value)
    assert said.startswith('The memory of the GPU is not enough for a step')
    assert '2.50 GiB' in said and 'soco-mm plan' in said
    assert '--batch-size' in said and '--accumulate' in said
    # The stack trace is for those who look for it.
    (log,) = (tmp_path / 'run').rglob('*.log')
    assert 'OutOfMemoryError: CUDA out of memory' in log.read_text()


def test_what_the_cpu_lacks_is_said_too():
    with pytest.raises(SoCoError, match=r'^The memory is not enough.*Buy some\.$'):
        with memory_named('Buy some.'):
            torch.empty(10**15)


@pytest.mark.parametrize(
    'text', ['cuDNN error: CUDNN_STATUS_ALLOC_FAILED', 'CUDA error: out of memory']
)
def test_libraries_of_the_gpu_say_it_in_their_words(text):
    with pytest.raises(SoCoError, match='memory of the GPU'), memory_named('-'):
        raise RuntimeError(text)


def test_other_errors_are_left_as_they_are():
    with pytest.raises(RuntimeError, match='^shape'), memory_named('-'):
        raise RuntimeError('shape mismatch')


def test_shared_memory_that_is_full_is_said_in_a_sentence():
    with (
        pytest.raises(SoCoError, match=r'/dev/shm.* is full.*--workers 0.*--shm-size'),
        memory_named(''),
    ):
        raise RuntimeError(
            'unable to allocate shared memory(shm) for file </torch_1_2>: No space left'
        )
