import torch
from mmengine.model import BaseModel
from torch import Tensor

from soco_mm.openmmlab import installed_type
from soco_mm.registry import MODELS

from .backbone import load_backbone


@MODELS.register_module()
class LinearProbe(BaseModel):
    """A classifier on the frozen features of a pretrained backbone.

    Neither the backbone's parameters nor its batch statistics change (the
    paper's Appendix B). Neck, head and data preprocessor are MMClassification's
    or MMPretrain's.

    Args:
        backbone (dict): Config of the backbone.
        checkpoint (str): The pretraining's checkpoint or exported weights;
            every tensor of the backbone must be there.
        neck (dict): Config of the pooling.
        head (dict): Config of the classifier.
        data_preprocessor (dict, optional): Arguments of
            ``ClsDataPreprocessor``. Defaults to None, its own defaults.
    """

    def __init__(
        self,
        backbone: dict,
        checkpoint: str,
        neck: dict,
        head: dict,
        data_preprocessor: dict | None = None,
    ) -> None:
        kind = installed_type('mmcls.ClsDataPreprocessor')
        super().__init__({'type': kind, **(data_preprocessor or {})})
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck)
        self.head = MODELS.build(head)
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
            tuple[Tensor]: One, (N, C), as classification heads take it.
        """
        return self.neck((self.backbone(inputs)[-1],))

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor'
    ):
        """Compute scores, losses or predictions.

        Args:
            inputs (Tensor): Normalised images, (N, 3, H, W).
            data_samples (list, optional): Their data samples. Defaults to
                None.
            mode (str): ``tensor``, ``loss`` or ``predict``. Defaults to
                ``tensor``.

        Returns:
            Tensor | dict | list: Scores of the classes, (N, C); the losses;
            or the data samples with predictions.

        Raises:
            RuntimeError: If ``mode`` is another.
        """
        feats = self.extract_feat(inputs)
        if mode == 'tensor':
            return self.head(feats)
        if mode == 'loss':
            return self.head.loss(feats, data_samples)
        if mode == 'predict':
            return self.head.predict(feats, data_samples)
        raise RuntimeError(
            'LinearProbe has the modes "tensor", "loss" and "predict", but got '
            f'"{mode}".'
        )
