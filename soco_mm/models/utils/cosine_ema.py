from math import cos, pi

import torch
from mmengine.model import BaseAveragedModel
from torch import nn


class CosineEMA(BaseAveragedModel):
    r"""Exponential moving average whose momentum rises to 1 along a cosine.

    The target network of BYOL: after optimiser step k of K,

    .. math::
        \xi \leftarrow \tau_k \xi + (1 - \tau_k) \theta, \quad
        \tau_k = (1 - (1 - \tau) (\cos(\pi k / K) + 1) / 2)^\kappa

    For a batch of another size than the recipe's, :math:`\kappa` is their ratio
    (`How to Scale Your EMA <https://arxiv.org/abs/2307.13813>`_): the average
    then spans as many images.

    Unlike ``mmselfsup.CosineEMA``, the caller says which step it is, so
    gradient accumulation does not change the schedule; all parameters are
    updated in a few fused operations without waiting for the device; and
    buffers are not averaged: in training the target network gathers its own
    batch norm statistics.

    Args:
        model (nn.Module): The online network; it is copied.
        momentum (float): The initial momentum :math:`\tau`. Defaults to 0.99.
        exponent (float): The exponent :math:`\kappa`. Defaults to 1.
    """

    def __init__(
        self, model: nn.Module, momentum: float = 0.99, exponent: float = 1.0
    ) -> None:
        super().__init__(model)
        if not 0 <= momentum <= 1:
            raise ValueError(f'momentum must lie in [0, 1], but got {momentum}.')
        if exponent <= 0:
            raise ValueError(f'exponent must be above 0, but got {exponent}.')
        self.momentum = momentum
        self.exponent = exponent

    def momentum_at(self, step: int, max_steps: int) -> float:
        r"""The momentum :math:`\tau_k` after ``step`` of ``max_steps``."""
        tau = 1 - (1 - self.momentum) * (cos(pi * step / max_steps) + 1) / 2
        return tau**self.exponent

    @torch.no_grad()
    def reset(self, model: nn.Module) -> None:
        """Make the average equal to ``model``, buffers too, at step 0."""
        self.module.load_state_dict(model.state_dict())
        self.steps.zero_()

    @torch.no_grad()
    def update_parameters(self, model: nn.Module, step: int, max_steps: int) -> None:
        """Move the average towards ``model``.

        Args:
            model (nn.Module): The online network.
            step (int): How many optimiser steps were done, from 1.
            max_steps (int): How many there will be.
        """
        torch._foreach_lerp_(
            list(self.module.parameters()),
            list(model.parameters()),
            weight=1 - self.momentum_at(step, max_steps),
        )
        self.steps.fill_(step)
