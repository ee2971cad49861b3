import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from soco_mm.registry import MODELS

from .gathering import gather_batch, gather_trained


@MODELS.register_module()
class VarianceCovarianceLoss(BaseModule):
    r"""Keep the features of objects apart, and their channels independent.

    The two regularisers of `VICReg <https://arxiv.org/abs/2105.04906>`_, on
    features z scaled to the length :math:`\sqrt{C}`:

    .. math::
        \mathcal{L} = \frac{\alpha}{C} \sum_c \max(0, 1 - \sqrt{\mathrm{Var}(z_c)
        + \epsilon}) + \frac{\beta}{C} \sum_{c \ne d} \mathrm{Cov}(z_c, z_d)^2

    over the valid objects of all images and processes. It is no contrast by
    itself, but an addition to a loss that can collapse:
    ``SoCoHead(regulariser=dict(type='VarianceCovarianceLoss'))``.

    Args:
        variance_weight (float): :math:`\alpha`. Defaults to 1.
        covariance_weight (float): :math:`\beta`. Defaults to 0.04.
        eps (float): :math:`\epsilon`. Defaults to 1e-4.
    """

    def __init__(
        self,
        variance_weight: float = 1.0,
        covariance_weight: float = 0.04,
        eps: float = 1e-4,
    ) -> None:
        super().__init__()
        self.variance_weight = variance_weight
        self.covariance_weight = covariance_weight
        self.eps = eps

    def forward(self, feats: Tensor, valid: Tensor) -> Tensor:
        """Compute the loss of one view.

        Args:
            feats (Tensor): Features of objects, (N, K, C).
            valid (Tensor): Which objects count, bool, (N, K).

        Returns:
            Tensor: The loss, float32, a scalar from 0; the same on all
            processes.
        """
        with torch.autocast(feats.device.type, enabled=False):
            channels = feats.shape[-1]
            z = F.normalize(feats.float().flatten(0, 1), dim=-1) * channels**0.5
            z, weight = (
                gather_trained(z),
                gather_batch(valid.flatten().float())[:, None],
            )
            mean = (z * weight).sum(0) / weight.sum().clamp(min=1)
            z = (z - mean) * weight
            cov = z.T @ z / (weight.sum() - 1).clamp(min=1)
            var = cov.diagonal()
            off_diagonal = cov.square().sum() - var.square().sum()
            return (
                self.variance_weight * F.relu(1 - (var + self.eps).sqrt()).mean()
                + self.covariance_weight * off_diagonal / channels
            )
