import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from soco_mm.registry import MODELS


@MODELS.register_module()
class ObjectCosineLoss(BaseModule):
    r"""Negative cosine similarity of the same objects in two views.

    One term of Eq. 5 with the mean of Eq. 6, for one pair of views and one
    direction:

    .. math::
        \mathcal{L} = \frac{1}{N} \sum_n \frac{1}{|M_n|} \sum_{i \in M_n}
        -2 \frac{\langle v_i, v'_i \rangle}{\|v_i\|_2 \|v'_i\|_2}

    where :math:`M_n` are the proposals of image n that are valid in both
    views. An image without any adds 0. Computed in float32 whatever the dtype
    of the features.
    """

    def forward(self, pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Compute the loss of one direction of one pair.

        Args:
            pred (Tensor): Predictions v of the online network, (N, K, C).
            target (Tensor): Projections v' of the target network, (N, K, C);
                no gradient flows into them.
            valid (Tensor): Which proposals count, bool, (N, K).

        Returns:
            Tensor: The loss, float32, a scalar in [-2, 2].
        """
        with torch.autocast(pred.device.type, enabled=False):
            cosine = F.cosine_similarity(pred.float(), target.detach().float(), dim=-1)
            weight = valid.float()
            per_image = (cosine * weight).sum(1) / weight.sum(1).clamp(min=1)
            return -2 * per_image.mean()

    def floor(self, target: Tensor, valid: Tensor) -> Tensor:
        r"""The loss of the constant prediction that minimises it.

        For a prediction v that is the same for every proposal, the loss is

        .. math::
            -2 \left\langle \frac{v}{\|v\|_2}, m \right\rangle, \quad
            m = \frac{1}{N} \sum_n \frac{1}{|M_n|} \sum_{i \in M_n}
            \frac{v'_i}{\|v'_i\|_2}

        and smallest, :math:`-2 \|m\|_2`, if v points along the mean target.

        Args:
            target (Tensor): Projections v' of the target network, (N, K, C).
            valid (Tensor): Which proposals count, bool, (N, K).

        Returns:
            Tensor: The loss, float32, a scalar in [-2, 0].
        """
        with torch.autocast(target.device.type, enabled=False):
            weight = valid.float()
            weight = weight / weight.sum(1, keepdim=True).clamp(min=1)
            unit = F.normalize(target.detach().float(), dim=-1)
            mean = (unit * weight.unsqueeze(-1)).sum(1).mean(0)
            return -2 * mean.norm()
