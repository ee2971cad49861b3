"""Repeat a training step that was not finite."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from mmengine.config import ConfigDict
from mmengine.device import get_device
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn

from soco_mm.checkpoint.io import read_plain
from soco_mm.checkpoint.model_config import unregistered, without_initialisation
from soco_mm.engine.config import building
from soco_mm.engine.hooks.step_guard_hook import FORMAT
from soco_mm.engine.random_states import set_random_states
from soco_mm.engine.runtime import use_torch_sync_norm
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError
from soco_mm.utils.finite import named_tensors, non_finite

# What is read of a step.
KEYS = {
    *('model', 'state_dict', 'batch', 'random', 'autocast'),
    *('iteration', 'epoch', 'lr', 'broken'),
}


@dataclass
class Replay:
    """A step that was repeated.

    Attributes:
        iteration (int): Its number, from 1.
        epoch (int): Its epoch, from 1.
        loss (float): Its loss.
        found (list[str]): Where there were values that are not finite, in
            order; empty if there were none.
    """

    iteration: int
    epoch: int
    loss: float
    found: list[str] = field(default_factory=list)

    @property
    def reproduced(self) -> bool:
        """bool: Whether there were any."""
        return bool(self.found)

    def describe(self) -> str:
        """What was found, as lines of text."""
        first = (
            f'Replayed iteration {self.iteration} (epoch {self.epoch}): loss '
            f'{self.loss:g}.'
        )
        if not self.found:
            return (
                f'{first}\nAll values are finite, forward and backward: the fault did '
                'not come from these weights and images. Continue with --resume.'
            )
        return '\n'.join([first, f'First not finite: {self.found[0]}', *self.found[1:]])


def repeat_step(path: str | Path) -> Replay:
    """Repeat the step in a file, and find where it stops being finite.

    On the GPU if there is one, by one process: batch norm that was synchronised
    sees the images of the process that wrote the file.

    Args:
        path (str | Path): What a training wrote to ``not_finite``.

    Returns:
        Replay: What was found.

    Raises:
        UsageError: If there is no such file.
        SoCoError: If it is not of a step, or the model cannot be built.
    """
    record = read_plain(path)
    if record.get('soco_mm_step') != FORMAT:
        raise SoCoError(
            f'{path} is not a step that a training kept. Give a file of RUN/not_finite.'
        )
    if missing := sorted(KEYS - record.keys()):
        raise SoCoError(
            f'{path} lacks {", ".join(missing)}: it is not as a training wrote it.'
        )
    config = ConfigDict(without_initialisation(record['model']))
    check_types(config, path)
    use_torch_sync_norm(config)
    with building('a model'):
        model = revert_sync_batchnorm(MODELS.build(config))
    try:
        model.load_state_dict(record['state_dict'])
    except RuntimeError as error:
        raise SoCoError(
            f'The weights of {path} are not those of its model: '
            f'{str(error).splitlines()[-1].strip()}'
        ) from None
    device = get_device()
    model.to(device).train()
    watch = Watch(model)
    watch.note_weights('before the step')
    set_random_states(record['random'])
    dtype = record['autocast']
    with (
        watch.watching(),
        torch.autocast(
            torch.device(device).type,
            dtype=getattr(torch, dtype or 'bfloat16'),
            enabled=dtype is not None,
        ),
    ):
        losses = model(**model.data_preprocessor(record['batch'], True), mode='loss')
    loss, _ = model.parse_losses(losses)
    if not watch.found and (wrong := non_finite(losses)):
        watch.found.append(f'the {wrong[0]} itself; outputs of all modules are finite.')
    loss.backward()
    if not watch.found:
        watch.note_gradients()
    if not watch.found and record['broken']:
        watch.found.append(
            f'{record["broken"][0]}, after the step (of {len(record["broken"])} '
            'tensors). Forward and backward are finite, so the update (learning rate '
            f'{record["lr"]:.4g}) or something outside of the step wrote it.'
        )
    return Replay(record['iteration'], record['epoch'], loss.item(), watch.found)


def check_types(config: ConfigDict, path: str | Path) -> None:
    """Refuse what would call anything but a part of a model.

    MMEngine takes ``type='os.system'`` or ``'mmengine.load'`` for a function to be
    called.

    Raises:
        SoCoError: If there is such a type.
    """
    for name in unregistered(config):
        raise SoCoError(
            f'{path} has a model of {name}, which is no component of this plugin '
            'or of an OpenMMLab library that is installed, and is not built since '
            'it could run code.'
        )


class Watch:
    """Look for NaN and infinity while a model runs.

    Args:
        model (nn.Module): The model.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.found: list[str] = []

    def note_weights(self, when: str) -> None:
        """Note weights that are not finite."""
        weights = dict(self.model.named_parameters())
        for name in non_finite(weights)[:1]:
            self.found.append(f'{count(weights[name])} of the weights {name} {when}.')

    def note_gradients(self) -> None:
        """Note gradients of weights that are not finite."""
        gradients = {
            name: value.grad
            for name, value in self.model.named_parameters()
            if value.grad is not None
        }
        for name in non_finite(gradients)[:1]:
            self.found.append(
                f'{count(gradients[name])} of the gradient of {name}; the outputs of '
                'all modules, and the gradients into them, are finite.'
            )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the outputs of all modules, and later the gradients into them."""
        handles = [
            module.register_forward_hook(self._hook(name))
            for name, module in self.model.named_modules()
            if name
        ]
        self.forward_found = self.backward_found = False
        try:
            yield
        finally:
            for each in handles:
                each.remove()

    def _hook(self, name: str):
        """What is called after a module."""

        def look(module: nn.Module, inputs: tuple, output) -> None:
            if self.forward_found:
                return
            for _, value in named_tensors(output):
                if not value.is_floating_point():
                    continue
                if not torch.isfinite(value).all():
                    self.forward_found = True
                    self.found.append(explain(name, module, inputs, value))
                    return
                if value.requires_grad:
                    value.register_hook(self._gradient_hook(name))

        return look

    def _gradient_hook(self, name: str):
        """What is called with the gradient into an output."""

        def look(gradient: Tensor) -> None:
            if self.forward_found or self.backward_found:
                return
            if not torch.isfinite(gradient).all():
                self.backward_found = True
                self.found.append(
                    f'{count(gradient)} of the gradient into the output of {name}; '
                    'the forward pass is finite.'
                )

        return look


def count(values: Tensor) -> str:
    """How many values are not finite, in words.

    Example:
        >>> import torch
        >>> from soco_mm.runs.replay import count
        >>> count(torch.tensor([1.0, float('nan')]))
        '1 of 2 values'
    """
    return f'{int((~torch.isfinite(values)).sum())} of {values.numel()} values'


def explain(name: str, module: nn.Module, inputs: tuple, output: Tensor) -> str:
    """A sentence on a module whose output is not finite."""
    weights = non_finite(dict(module.named_parameters()))
    if weights:
        why = f'its {weights[0]} holds some already'
    elif non_finite(list(inputs)):
        why = 'so is its input'
    else:
        why = 'its input and weights are finite'
    return f'{count(output)} of the output of {name} ({type(module).__name__}); {why}.'
