import torch
import torch.nn.functional as F
from mmengine.dist import get_rank, get_world_size
from mmengine.model import BaseModule
from torch import Tensor

from soco_mm.registry import MODELS

from ..utils.object_metrics import same_objects
from .gathering import gather_batch, mean_over_processes


@MODELS.register_module()
class ObjectInfoNCELoss(BaseModule):
    r"""InfoNCE: each object is told from all other objects of the batch.

    For one pair of views and one direction,

    .. math::
        \mathcal{L} = -\frac{1}{|M|} \sum_{i \in M} \log
        \frac{\exp(\cos(v_i, v'_i) / T)}{\sum_{j \in M_i} \exp(\cos(v_i, v'_j) / T)}

    where M are the objects of all images and processes that are valid in both
    views, and :math:`M_i` are those without the ones of the same image that
    overlap with object i by more than ``max_iou``: they show the same thing,
    and are neither positive nor negative. Objects of other processes are
    gathered without gradients. Computed in float32 whatever the dtype of the
    features; shapes are fixed, and no step waits for the device.

    Other than :class:`ObjectCosineLoss` it keeps features apart, so it needs
    no large batch of images, but many objects in a batch.

    Args:
        temperature (float): T. Defaults to 0.2.
        max_iou (float): Defaults to 0.5.

    Raises:
        ValueError: If the temperature is not positive.

    Example:
        >>> import torch
        >>> from soco_mm.models import ObjectInfoNCELoss
        >>> features = torch.eye(2)[None]  # two objects of one image
        >>> valid = torch.ones(1, 2, dtype=torch.bool)
        >>> boxes = torch.tensor([[[0.0, 0, 9, 9], [9.0, 9, 18, 18]]])
        >>> loss = ObjectInfoNCELoss(temperature=1.0)
        >>> round(loss(features, features, valid, boxes).item(), 4)
        0.3133
    """

    takes_boxes = True

    def __init__(self, temperature: float = 0.2, max_iou: float = 0.5) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f'temperature must be positive, but is {temperature}.')
        self.temperature = temperature
        self.max_iou = max_iou

    def forward(
        self, pred: Tensor, target: Tensor, valid: Tensor, boxes: Tensor
    ) -> Tensor:
        """Compute the loss of one direction of one pair.

        Args:
            pred (Tensor): Predictions v of the online network, (N, K, C).
            target (Tensor): Projections v' of the target network, (N, K, C);
                no gradient flows into them.
            valid (Tensor): Which objects count, bool, (N, K).
            boxes (Tensor): The objects' boxes in one view, (N, K, 4).

        Returns:
            Tensor: The loss, float32, a scalar. With several processes, their
            mean is the loss of the whole batch.
        """
        with torch.autocast(pred.device.type, enabled=False):
            own = F.normalize(pred.float().flatten(0, 1), dim=-1)
            everyone = gather_batch(F.normalize(target.float().flatten(0, 1), dim=-1))
            candidates = self.candidates(valid, boxes)
            logits = (own @ everyone.T / self.temperature).masked_fill(
                ~candidates, float('-inf')
            )
            first = get_rank() * len(own)
            positive = torch.arange(first, first + len(own), device=own.device)
            each = F.cross_entropy(logits, positive, reduction='none')
            return mean_over_processes(each, valid.flatten())

    @torch.no_grad()
    def floor(self, target: Tensor, valid: Tensor, boxes: Tensor) -> Tensor:
        """The loss of a prediction that is equally similar to all objects.

        It is the mean of the logarithm of the number of candidates. Where none
        overlap, no constant prediction has a smaller loss.

        Args:
            target (Tensor): Not used; the loss does not depend on it.
            valid (Tensor): Which objects count, bool, (N, K).
            boxes (Tensor): The objects' boxes in one view, (N, K, 4).

        Returns:
            Tensor: The loss, float32, a scalar.
        """
        number = self.candidates(valid, boxes).sum(1).float()
        return mean_over_processes(number.log(), valid.flatten())

    def candidates(self, valid: Tensor, boxes: Tensor) -> Tensor:
        """Which objects each object of this process is told from, and itself.

        Args:
            valid (Tensor): Which objects count, bool, (N, K).
            boxes (Tensor): Their boxes in one view, (N, K, 4).

        Returns:
            Tensor: Bool, (N K, W N K) for W processes.
        """
        number = valid.numel()
        boxes = boxes.float().flatten(0, 1)
        image = torch.arange(len(valid), device=valid.device)
        image = image.repeat_interleave(valid.shape[1])
        same = same_objects(boxes, image, self.max_iou)
        first = get_rank() * number
        last = (get_world_size() - 1) * number - first
        same = F.pad(same, (first, last))
        itself = F.pad(
            torch.eye(number, dtype=torch.bool, device=valid.device), (first, last)
        )
        everyone = gather_batch(valid.flatten().float()) > 0
        return (everyone & ~same) | itself
