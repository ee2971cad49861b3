from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor

from soco_mm.registry import MODELS


@MODELS.register_module()
class SoCoHead(BaseModule):
    r"""Predictor :math:`q_\theta` and the symmetric loss over view pairs.

    Args:
        predictor (dict): Config of the predictor; it takes and returns a
            one-element sequence of (R, C) features, as the necks of MMSelfSup.
        loss (dict): Config of the loss of one pair and direction. Defaults to
            ``dict(type='ObjectCosineLoss')``.
    """

    def __init__(self, predictor: dict, loss: dict | None = None) -> None:
        if loss is None:
            loss = dict(type='ObjectCosineLoss')
        super().__init__()
        self.predictor = MODELS.build(predictor)
        self.loss_module = MODELS.build(loss)

    def loss(
        self,
        online: Sequence[Tensor],
        target: Sequence[Tensor],
        valid: Sequence[Tensor],
    ) -> Tensor:
        r"""Contrast the first view with each other one (Eq. 4 to 6).

        Args:
            online (Sequence[Tensor]): Projections :math:`g_\theta(h)` of the
                online network, one per view, (N, K, C).
            target (Sequence[Tensor]): Projections :math:`g_\xi(h)` of the
                target network, one per view, (N, K, C).
            valid (Sequence[Tensor]): Valid proposals, one per view, bool,
                (N, K).

        Returns:
            Tensor: The scalar :math:`\mathcal{L} + \tilde{\mathcal{L}}`; in
            [-8, 8] for three views.
        """
        # Eq. 4: v = q(g(h)) online, v' = g(h) of the target network.
        pred = [self.predictor([z.flatten(0, 1)])[0].view_as(z) for z in online]
        loss = 0
        for j in range(1, len(pred)):
            both = valid[0] & valid[j]
            loss = loss + self.loss_module(pred[0], target[j], both)  # L
            loss = loss + self.loss_module(pred[j], target[0], both)  # L~
        return loss

    @torch.no_grad()
    def loss_floor(self, target: Sequence[Tensor], valid: Sequence[Tensor]) -> Tensor:
        """The loss that the best constant prediction of each term would have.

        A prediction that is the same for all objects can reach it, so only a
        loss below it shows that objects are distinguished.

        Args:
            target (Sequence[Tensor]): Projections of the target network, one
                per view, (N, K, C).
            valid (Sequence[Tensor]): Valid proposals, one per view, bool,
                (N, K).

        Returns:
            Tensor: The sum over the terms of :meth:`loss`, without gradients;
            a scalar in [-8, 0] for three views.
        """
        floor = 0
        for j in range(1, len(target)):
            both = valid[0] & valid[j]
            floor = floor + self.loss_module.floor(target[j], both)
            floor = floor + self.loss_module.floor(target[0], both)
        return floor
