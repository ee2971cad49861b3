from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor

from soco_mm.registry import MODELS

from ..utils.view_batch import map_views


@MODELS.register_module()
class SoCoHead(BaseModule):
    r"""Predictor :math:`q_\theta` and the symmetric loss over view pairs.

    Args:
        predictor (dict): Config of the predictor; it takes and returns a
            one-element sequence of (R, C) features, as the necks of MMSelfSup.
        loss (dict): Config of the loss of one pair and direction. Defaults to
            ``dict(type='ObjectCosineLoss')``.
        regulariser (dict, optional): Config of a further loss, of each view's
            predictions, such as ``dict(type='VarianceCovarianceLoss')``.
            Defaults to None, none.
    """

    def __init__(
        self,
        predictor: dict,
        loss: dict | None = None,
        regulariser: dict | None = None,
    ) -> None:
        if loss is None:
            loss = dict(type='ObjectCosineLoss')
        super().__init__()
        self.predictor = MODELS.build(predictor)
        self.loss_module = MODELS.build(loss)
        self.regulariser = None if regulariser is None else MODELS.build(regulariser)
        self.takes_boxes = getattr(self.loss_module, 'takes_boxes', False)

    def loss(
        self,
        online: Sequence[Tensor],
        target: Sequence[Tensor],
        valid: Sequence[Tensor],
        boxes: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        r"""Contrast the first view with each other one (Eq. 4 to 6).

        Args:
            online (Sequence[Tensor]): Projections :math:`g_\theta(h)` of the
                online network, one per view, (N, K, C).
            target (Sequence[Tensor]): Projections :math:`g_\xi(h)` of the
                target network, one per view, (N, K, C).
            valid (Sequence[Tensor]): Valid proposals, one per view, bool,
                (N, K).
            boxes (Sequence[Tensor]): Their boxes, one tensor per view,
                (N, K, 4). Losses that need to know which objects overlap get
                those of the first view.

        Returns:
            dict: ``loss``, the scalar :math:`\mathcal{L} +
            \tilde{\mathcal{L}}`, in [-8, 8] for three views with
            :class:`ObjectCosineLoss`; ``loss_floor``, see :meth:`loss_floor`;
            and ``loss_regulariser``, its mean over the views, if there is one.
        """
        # Eq. 4: v = q(g(h)) online, v' = g(h) of the target network.
        flat = [z.flatten(0, 1) for z in online]
        pred = map_views(lambda z: self.predictor([z])[0], flat, self.predictor)
        pred = [v.view_as(z) for v, z in zip(pred, online)]
        extra = boxes[:1] if self.takes_boxes else ()
        loss = 0
        for j in range(1, len(pred)):
            both = valid[0] & valid[j]
            loss = loss + self.loss_module(pred[0], target[j], both, *extra)  # L
            loss = loss + self.loss_module(pred[j], target[0], both, *extra)  # L~
        losses = dict(loss=loss, loss_floor=self.loss_floor(target, valid, boxes))
        if self.regulariser is not None:
            each = [self.regulariser(v, mask) for v, mask in zip(pred, valid)]
            losses['loss_regulariser'] = torch.stack(each).mean()
        return losses

    @torch.no_grad()
    def loss_floor(
        self,
        target: Sequence[Tensor],
        valid: Sequence[Tensor],
        boxes: Sequence[Tensor],
    ) -> Tensor:
        """The loss that the best constant prediction of each term would have.

        A prediction that is the same for all objects can reach it, so only a
        loss below it shows that objects are distinguished.

        Args:
            target (Sequence[Tensor]): Projections of the target network, one
                per view, (N, K, C).
            valid (Sequence[Tensor]): Valid proposals, one per view, bool,
                (N, K).
            boxes (Sequence[Tensor]): Their boxes, one tensor per view,
                (N, K, 4).

        Returns:
            Tensor: The sum over the terms of :meth:`loss`, without gradients;
            a scalar, in [-8, 0] for three views with
            :class:`ObjectCosineLoss`.
        """
        extra = boxes[:1] if self.takes_boxes else ()
        floor = 0
        for j in range(1, len(target)):
            both = valid[0] & valid[j]
            floor = floor + self.loss_module.floor(target[j], both, *extra)
            floor = floor + self.loss_module.floor(target[0], both, *extra)
        return floor
