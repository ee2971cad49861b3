import torch
from mmcls.models import ImageClassifier
from torch import Tensor

from soco_mm.registry import MODELS

from .backbone import load_backbone


@MODELS.register_module()
class LinearProbe(ImageClassifier):
    """A classifier on the frozen features of a pretrained backbone.

    Neither the backbone's parameters nor its batch statistics change (the
    paper's Appendix B).

    Args:
        backbone (dict): Config of the backbone.
        checkpoint (str): The pretraining's checkpoint or exported weights;
            every tensor of the backbone must be there.
        neck (dict): Config of the pooling.
        head (dict): Config of the classifier.
        data_preprocessor (dict, optional): Config of the data preprocessor.
            Defaults to None, as :class:`mmcls.models.ImageClassifier`.
    """

    def __init__(
        self,
        backbone: dict,
        checkpoint: str,
        neck: dict,
        head: dict,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(backbone, neck, head, data_preprocessor=data_preprocessor)
        self.checkpoint = checkpoint
        self.backbone.requires_grad_(False)
        # The format in which convolutions are fastest, on GPU and CPU.
        self.to(memory_format=torch.channels_last)

    def init_weights(self) -> None:
        """Initialise the classifier and load the backbone.

        Raises:
            UsageError: If there is no such checkpoint.
            SoCoError: If it is not of this backbone.
        """
        super().init_weights()
        load_backbone(self.backbone, self.checkpoint)

    def train(self, mode: bool = True) -> 'LinearProbe':
        """Set the mode of the classifier; the backbone's is evaluation."""
        super().train(mode)
        self.backbone.eval()
        return self

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor]:
        """Pool the last stage of the backbone.

        Args:
            inputs (Tensor): Normalised images, (N, 3, H, W).

        Returns:
            tuple[Tensor]: One, (N, C), as heads of MMClassification take it.
        """
        return self.neck((self.backbone(inputs)[-1],))
