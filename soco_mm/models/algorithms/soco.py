from collections.abc import Sequence
from itertools import takewhile

import torch
from mmdet.structures import DetDataSample
from mmengine.dist import get_world_size
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import Tensor

from soco_mm.registry import MODELS

from ..utils import CosineEMA, ObjectEncoder, build_detector_part
from ..utils.object_encoder import Features
from ..utils.upper_levels import most_skipped

# Parts that a detector takes over, in the order in which they are computed.
PARTS = ('backbone', 'neck', 'roi_head', 'bbox_head')


@MODELS.register_module()
class SoCo(BaseModel):
    """SoCo: `Aligning Pretraining for Detection via Object-Level Contrastive
    Learning <https://arxiv.org/abs/2106.02637>`_.

    The online network's parameters carry MMDetection's names (``backbone.*``,
    ``neck.*``, ``roi_head.bbox_head.shared_*``), so that a checkpoint of the
    training fills a detector as it is.

    Args:
        backbone (dict): Config of the backbone.
        neck (dict, optional): Config of the feature pyramid; None for C4.
        roi_head (dict): Config of RoIAlign and the R-CNN head.
        projector (dict): Config of the projector.
        head (dict): Config of the predictor and the loss.
        base_momentum (float): Momentum of the target network at the start.
            Defaults to 0.99.
        momentum_exponent (float): The exponent of that momentum at every step,
            see :class:`CosineEMA`. Defaults to 1.
        data_preprocessor (dict, optional): Config of the data preprocessor.
            Defaults to None, ``dict(type='ViewDataPreprocessor')``.
        bbox_head (dict, optional): Config of the towers of a one-stage
            detector, which then are its head (``bbox_head.*``). Defaults to
            None, that of ``roi_head``.
        rpn_head (dict, optional): Config of MMDetection's ``RPNHead``, which
            learns the proposals as one class (``rpn_head.*``). Its losses are
            those of MMDetection, a mean over the views. Defaults to None,
            none.
        box_head (dict, optional): Config of a head that finds the way back
            from a displaced box, such as ``dict(type='DisplacedBoxHead')``.
            Its loss is a mean over the views. Defaults to None, none.
        frozen_parts (Sequence[str]): Parts of a detector that stay as they
            are, of ``backbone``, ``neck``, ``roi_head`` and ``bbox_head``,
            with their norms in evaluation mode. A frozen backbone is equal in
            both networks: it is computed once for both, without gradients, and
            the target network does not hold it. So is a frozen neck behind
            it. Defaults to (), none.
        init_cfg (dict, optional): Config of the initialisation. Defaults to
            None.

    Raises:
        ValueError: If ``frozen_parts`` names another part, one that the model
            does not have, or all of them.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict | None,
        roi_head: dict,
        projector: dict,
        head: dict,
        base_momentum: float = 0.99,
        data_preprocessor: dict | None = None,
        bbox_head: dict | None = None,
        rpn_head: dict | None = None,
        box_head: dict | None = None,
        frozen_parts: Sequence[str] = (),
        momentum_exponent: float = 1.0,
        init_cfg: dict | None = None,
    ) -> None:
        if data_preprocessor is None:
            data_preprocessor = dict(type='soco_mm.ViewDataPreprocessor')
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = None if neck is None else MODELS.build(neck)
        self.roi_head = MODELS.build(roi_head)
        self.bbox_head = None if bbox_head is None else MODELS.build(bbox_head)
        self.projector = MODELS.build(projector)
        self.head = MODELS.build(head)
        self.rpn_head = None if rpn_head is None else build_detector_part(rpn_head)
        self.box_head = None if box_head is None else MODELS.build(box_head)
        self.frozen_parts = self._freeze(frozen_parts)
        # The format in which convolutions are fastest, on GPU and CPU.
        if getattr(self.data_preprocessor, 'channels_last', True):
            self.to(memory_format=torch.channels_last)
        self.target_net = CosineEMA(self.trained_net, base_momentum, momentum_exponent)
        self.train()

    def _freeze(self, names: Sequence[str]) -> tuple[str, ...]:
        """Let no gradient into some parts; return their names in their order."""
        parts = [
            name
            for name in PARTS
            if getattr(self, name) is not None
            and list(getattr(self, name).parameters())
        ]
        for name in names:
            if name not in parts:
                raise ValueError(
                    f'frozen_parts names {name!r}, but the parts of the model '
                    f'that can be frozen are {", ".join(parts)}.'
                )
            getattr(self, name).requires_grad_(False)
        frozen = tuple(name for name in parts if name in names)
        if list(frozen) == parts:
            raise ValueError(
                f'frozen_parts names all parts of the model, {", ".join(parts)}; '
                'leave out what the training should change.'
            )
        return frozen

    @property
    def shared_parts(self) -> list[str]:
        """list[str]: The frozen parts that come before any that is trained:
        backbone, or backbone and neck."""
        parts = [name for name in PARTS[:2] if getattr(self, name) is not None]
        return list(takewhile(lambda name: name in self.frozen_parts, parts))

    @property
    def online_net(self) -> ObjectEncoder:
        """ObjectEncoder: The online network, a view of this model's parts."""
        return ObjectEncoder(
            self.backbone, self.neck, self.roi_head, self.projector, self.bbox_head
        )

    @property
    def trained_net(self) -> ObjectEncoder:
        """ObjectEncoder: The online network without the parts that both share.

        It takes what :meth:`shared_feats` returns for a view.
        """
        shared = self.shared_parts
        return ObjectEncoder(
            None if 'backbone' in shared else self.backbone,
            None if 'neck' in shared else self.neck,
            self.roi_head,
            self.projector,
            self.bbox_head,
        )

    def shared_feats(self, view: Tensor) -> Features:
        """What both networks take of a view: their common maps, or the view.

        Args:
            view (Tensor): Normalised images, (N, 3, H, W).

        Returns:
            Tensor | tuple[Tensor]: The maps of the frozen parts before the
            first that is trained, without gradients; the view if there are
            none.
        """
        feats = view
        with torch.no_grad():
            for name in self.shared_parts:
                feats = getattr(self, name)(feats)
        return feats

    def train(self, mode: bool = True) -> 'SoCo':
        """Set the mode; what is frozen stays in evaluation mode.

        Args:
            mode (bool): Whether to train. Defaults to True.

        Returns:
            SoCo: The model.
        """
        super().train(mode)
        for name in self.frozen_parts:
            for net in (self, self.target_net.module):
                part = getattr(net, name)
                if part is not None:
                    part.eval()
        return self

    def init_weights(self) -> None:
        """Initialise the online network, and make the target network equal to it."""
        super().init_weights()
        self.reset_target()

    def reset_target(self) -> None:
        """Make the target network equal to the online network."""
        self.target_net.reset(self.trained_net)

    def update_target(self, step: int, max_steps: int) -> None:
        """Move the target network towards the online network.

        Args:
            step (int): How many optimiser steps were done, from 1.
            max_steps (int): How many there will be.
        """
        self.target_net.update_parameters(self.trained_net, step, max_steps)

    def forward(
        self,
        views: list[Tensor],
        boxes: list[Tensor],
        valid: list[Tensor],
        proposals: list[Tensor] | None = None,
        num_proposals: list[Tensor] | None = None,
        mode: str = 'tensor',
    ):
        """Compute the losses, or the online projections of the objects.

        Args:
            views (list[Tensor]): Normalised images, one tensor per view,
                (N, 3, H_v, W_v).
            boxes (list[Tensor]): x1 y1 x2 y2 in pixels of the view, (N, K, 4)
                each.
            valid (list[Tensor]): Valid proposals, bool, (N, K) each.
            proposals (list[Tensor], optional): See :meth:`loss`.
            num_proposals (list[Tensor], optional): See :meth:`loss`.
            mode (str): ``loss`` or ``tensor``. Defaults to ``tensor``.

        Returns:
            dict | list[Tensor]: In mode ``loss``, what :meth:`loss` returns;
            in mode ``tensor``, the projections of each view, (N, K, C).

        Raises:
            RuntimeError: If ``mode`` is another.
        """
        if mode == 'loss':
            return self.loss(views, boxes, valid, proposals, num_proposals)
        if mode == 'tensor':
            net = self.online_net
            return [net(view, box) for view, box in zip(views, boxes)]
        raise RuntimeError(f'SoCo has the modes "loss" and "tensor", but got "{mode}".')

    def extract_feat(self, views: list[Tensor]) -> tuple[Tensor]:
        """Feature maps of the first view, as MMSelfSup's algorithms return them.

        Args:
            views (list[Tensor]): Normalised images, one tensor per view,
                (N, 3, H_v, W_v).

        Returns:
            tuple[Tensor]: The online network's maps before the R-CNN head: the
            pyramid levels, or the last stage of the backbone in C4 models,
            (N, C, H_l, W_l) each.
        """
        return self.online_net.extract_feat(views[0])

    def parse_losses(
        self, losses: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Optimise the sum of all losses; ``loss_floor`` is only logged.

        MMEngine would sum all that has "loss" in its name.

        Args:
            losses (dict): What :meth:`loss` returns.

        Returns:
            tuple: The loss to be optimised, a scalar, and what is logged, by
            name: the sum as ``loss``, and if there are several losses, the
            object-level one as ``loss_object``. The floor is what the sum
            would be if that one was at its floor.
        """
        losses = dict(losses)
        floor = losses.pop('loss_floor')
        if len(losses) > 1:
            losses['loss_object'] = losses.pop('loss')
        loss, log_vars = super().parse_losses(losses)
        if len(losses) > 1:
            floor = floor + (loss - log_vars['loss_object']).detach()
        log_vars['loss_floor'] = floor
        return loss, log_vars

    def loss(
        self,
        views: list[Tensor],
        boxes: list[Tensor],
        valid: list[Tensor],
        proposals: list[Tensor] | None = None,
        num_proposals: list[Tensor] | None = None,
    ) -> dict[str, Tensor]:
        r"""The symmetric object-level contrastive loss (Section 3.3).

        The first view is contrasted with each other one. Neither network's
        parameters, nor the step of the target network, change; in training
        mode batch norm gathers its running statistics as in any forward pass.

        Args:
            views (list[Tensor]): Normalised images, one tensor per view,
                (N, 3, H_v, W_v).
            boxes (list[Tensor]): x1 y1 x2 y2 in pixels of the view, (N, K, 4)
                each; box k is the same object in all views.
            valid (list[Tensor]): Valid proposals, bool, (N, K) each. The boxes
                of invalid ones have no influence.
            proposals (list[Tensor], optional): All proposals that each view
                shows, padded to the same number, (N, M, 4) each. Needed for
                ``rpn_head``; see :class:`SelectProposals`.
            num_proposals (list[Tensor], optional): How many of them there are,
                int, (N,) each.

        Returns:
            dict: ``loss``, :math:`\mathcal{L}^{SoCo}`, a scalar in [-8, 8]
            for three views, with gradients into the online network only;
            ``loss_floor``, the loss of the best constant prediction, a scalar
            without gradients; and the losses of further parts:
            ``loss_regulariser``, ``loss_rpn_cls`` and ``loss_rpn_bbox``, and
            ``loss_box``.

        Raises:
            ValueError: If there are fewer than two views, or not as many
                boxes and masks as views, or no proposals for an RPN.
        """
        if not len(views) == len(boxes) == len(valid) >= 2:
            raise ValueError(
                'The loss contrasts two or more views, with boxes and a mask '
                f'for each, but got {len(views)} views, {len(boxes)} boxes '
                f'and {len(valid)} masks.'
            )
        boxes = [
            fill_invalid(box, mask, view)
            for box, mask, view in zip(boxes, valid, views)
        ]
        # Eq. 2 and 3, and the symmetric form: both networks see every view.
        online_net, target_net = self.trained_net, self.target_net.module
        inputs = [self.shared_feats(view) for view in views]
        skipped = self.idle_levels(boxes)
        feats = online_net.extract_views(inputs, skipped)
        online = online_net.project_views(online_net.head_views(feats, boxes), boxes)
        with torch.no_grad():
            target = target_net.forward_views(inputs, boxes, skipped)
        # Eq. 4 to 6.
        losses = self.head.loss(online, target, valid, boxes)
        if self.rpn_head is not None:
            losses |= self.rpn_loss(feats, views, proposals, num_proposals)
        if self.box_head is not None:
            losses |= self.box_loss(feats, boxes, valid)
        return losses

    def idle_levels(self, boxes: list[Tensor]) -> list[int]:
        """How many of the finest maps of each view need not be computed.

        Those on which none of its boxes is, see :func:`most_skipped`. All of the
        last view are computed, so that all layers have gradients and statistics in
        every step. On a GPU the model cannot know without waiting for it, several
        processes would have to agree, and tensors that are traced have no content:
        there, none is left out.

        Args:
            boxes (list[Tensor]): See :meth:`loss`; all of them real boxes.

        Returns:
            list[int]: One number per view.
        """
        all_read = self.rpn_head is not None or self.box_head is not None
        known = type(boxes[0]) is Tensor and boxes[0].device.type == 'cpu'
        alone = get_world_size() == 1 and not torch.compiler.is_compiling()
        most = most_skipped(self.neck)
        if all_read or not (known and alone) or not most:
            return [0] * len(boxes)
        assign = self.roi_head.bbox_roi_extractor.assign_levels
        return [min(int(assign(box).min()), most) for box in boxes[:-1]] + [0]

    def rpn_loss(
        self,
        feats: list[tuple[Tensor]],
        views: list[Tensor],
        proposals: list[Tensor] | None,
        num_proposals: list[Tensor] | None,
    ) -> dict[str, Tensor]:
        """MMDetection's losses of an RPN, with all proposals as one class.

        Args:
            feats (list[tuple[Tensor]]): The online network's maps of each view.
            views (list[Tensor]): See :meth:`loss`.
            proposals (list[Tensor], optional): See :meth:`loss`.
            num_proposals (list[Tensor], optional): See :meth:`loss`.

        Returns:
            dict: ``loss_rpn_cls`` and ``loss_rpn_bbox``, a mean over the views.

        Raises:
            ValueError: If there are no proposals.
        """
        if proposals is None or num_proposals is None:
            raise ValueError(
                'rpn_head learns all proposals of a view, but the batch has none. '
                'Set max_proposals of SelectProposals in the pipeline, such as 100.'
            )
        found = []
        for maps, view, boxes, numbers in zip(feats, views, proposals, num_proposals):
            samples = []
            for image, number in zip(boxes, numbers.tolist()):
                sample = DetDataSample(
                    metainfo=dict(img_shape=view.shape[-2:], pad_shape=view.shape[-2:])
                )
                sample.gt_instances = InstanceData(
                    bboxes=image[:number].float(),
                    labels=image.new_zeros(number, dtype=torch.long),
                )
                samples.append(sample)
            levels = self.rpn_head.prior_generator.num_levels
            found.append(self.rpn_head.loss(maps[:levels], samples))
        return {
            name: torch.stack([torch.stack(each[name]).sum() for each in found]).mean()
            for name in found[0]
        }

    def box_loss(
        self, feats: list[tuple[Tensor]], boxes: list[Tensor], valid: list[Tensor]
    ) -> dict[str, Tensor]:
        """The loss of the way back from displaced boxes.

        Args:
            feats (list[tuple[Tensor]]): The online network's maps of each view.
            boxes (list[Tensor]): See :meth:`loss`.
            valid (list[Tensor]): See :meth:`loss`.

        Returns:
            dict: ``loss_box``, a mean over the views.
        """
        losses = []
        for maps, box, mask in zip(feats, boxes, valid):
            displaced = self.box_head.displace(box)
            h = self.trained_net.head_features(maps, displaced)
            losses.append(self.box_head.loss(h, displaced, box, mask))
        return dict(loss_box=torch.stack(losses).mean())


def fill_invalid(boxes: Tensor, valid: Tensor, view: Tensor) -> Tensor:
    """Give invalid slots real boxes, so that batch norm sees real objects.

    The valid ones take turns: of two of four slots each counts twice, and where a
    view holds the sets of two pairs (``view_sets``) all of its own count alike.

    Args:
        boxes (Tensor): x1 y1 x2 y2 in pixels of the view, (N, K, 4).
        valid (Tensor): Valid proposals, bool, (N, K).
        view (Tensor): The images, (N, 3, H, W).

    Returns:
        Tensor: The boxes, float32, (N, K, 4), where each invalid one repeats
        the image's next valid box, or is the whole view if there is none.
    """
    boxes = boxes.float()
    whole = boxes.new_zeros(4)
    # A number that is assigned to one element of a tensor is copied to the device.
    whole[2:3].fill_(view.shape[-1])
    whole[3:].fill_(view.shape[-2])
    valid_first = valid.int().argsort(dim=1, descending=True, stable=True)
    turn = ((~valid).cumsum(1) - 1).clamp(min=0)  # of the invalid ones: 0, 1, ...
    turn = turn % valid.sum(1, keepdim=True).clamp(min=1)
    index = valid_first.gather(1, turn).unsqueeze(-1).expand_as(boxes)
    repeated = torch.where(valid.any(1)[:, None, None], boxes.gather(1, index), whole)
    return torch.where(valid.unsqueeze(-1), boxes, repeated)
