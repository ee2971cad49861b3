import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from soco_mm.registry import MODELS

from ..losses.gathering import mean_over_processes


@MODELS.register_module()
class DisplacedBoxHead(BaseModule):
    """The way back from a displaced box to the object's own.

    The box regression of `AlignDet <https://arxiv.org/abs/2307.11077>`_: from
    the object-level features of a displaced box the four deltas of R-CNN to
    the box it was moved from are predicted, so that what a detector takes over
    knows where an object ends. This layer itself is not handed over.

    The object's own box is the one the model is given: leave ``BoxJitter`` out
    of the pipeline, or it is the jittered one.

    Args:
        in_channels (int): Channels of the object-level features.
        max_shift (float): A box is moved by at most this share of its width
            and height, and its logarithmic sizes by at most as much. Defaults
            to 0.3.
        stds (tuple): What the deltas of x, y, w, h are divided by. Defaults
            to (0.1, 0.1, 0.2, 0.2), as in R-CNN.
        loss_weight (float): Defaults to 1.
    """

    def __init__(
        self,
        in_channels: int,
        max_shift: float = 0.3,
        stds: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2),
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(init_cfg=dict(type='Normal', layer='Linear', std=0.001))
        self.fc_reg = nn.Linear(in_channels, 4)
        self.max_shift = max_shift
        # On the device, so that no step copies it there.
        self.register_buffer('stds', torch.tensor(stds), persistent=False)
        self.loss_weight = loss_weight

    def displace(self, boxes: Tensor) -> Tensor:
        """Move and scale boxes at random.

        Args:
            boxes (Tensor): x1 y1 x2 y2 in pixels of the view, (N, K, 4).

        Returns:
            Tensor: The displaced boxes, float32, (N, K, 4); they may reach out
            of the view.
        """
        boxes = boxes.float()
        size = boxes[..., 2:] - boxes[..., :2]
        change = self.max_shift * (2 * torch.rand_like(boxes) - 1)
        centre = (boxes[..., 2:] + boxes[..., :2]) / 2 + change[..., :2] * size
        half = size * change[..., 2:].exp() / 2
        return torch.cat([centre - half, centre + half], -1)

    def deltas(self, displaced: Tensor, boxes: Tensor) -> Tensor:
        """The way from displaced boxes back to the objects' own, as in R-CNN.

        Args:
            displaced (Tensor): The displaced boxes, (..., 4).
            boxes (Tensor): The objects' boxes, (..., 4).

        Returns:
            Tensor: What is to be predicted, (..., 4); MMDetection's deltas.
        """
        size = displaced[..., 2:] - displaced[..., :2]
        shift = (boxes[..., 2:] + boxes[..., :2]) * 0.5
        shift = shift - (displaced[..., 2:] + displaced[..., :2]) * 0.5
        growth = ((boxes[..., 2:] - boxes[..., :2]) / size).log()
        return torch.cat([shift / size, growth], -1) / self.stds

    def loss(
        self, h: Tensor, displaced: Tensor, boxes: Tensor, valid: Tensor
    ) -> Tensor:
        """Compute the L1 distance of the deltas.

        Args:
            h (Tensor): Object-level features of the displaced boxes,
                (N * K, C).
            displaced (Tensor): The displaced boxes, (N, K, 4).
            boxes (Tensor): The objects' boxes, (N, K, 4).
            valid (Tensor): Which objects count, bool, (N, K).

        Returns:
            Tensor: The sum over the four deltas, a mean over the valid
            objects; float32, a scalar. With several processes, their mean is
            the loss of the whole batch.
        """
        with torch.autocast(h.device.type, enabled=False):
            wanted = self.deltas(displaced, boxes.float()).flatten(0, 1)
            each = (self.fc_reg(h.float()) - wanted).abs().sum(-1)
            return self.loss_weight * mean_over_processes(each, valid.flatten())
