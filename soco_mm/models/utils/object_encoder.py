from torch import Tensor, nn


class ObjectEncoder(nn.Module):
    r"""From a view and its boxes to projections: :math:`g(f^H(f^I(V), b))`.

    Both networks of SoCo are object encoders, with different weights.

    Args:
        backbone (nn.Module): Backbone, the first part of :math:`f^I`.
        neck (nn.Module, optional): Feature pyramid, the second part of
            :math:`f^I`; None for C4.
        roi_head (nn.Module): RoIAlign and :math:`f^H`.
        projector (nn.Module): Projector g.
        bbox_head (nn.Module, optional): The towers of a one-stage detector,
            which then are :math:`f^H`. Defaults to None, that of ``roi_head``.
    """

    def __init__(
        self,
        backbone: nn.Module,
        neck: nn.Module | None,
        roi_head: nn.Module,
        projector: nn.Module,
        bbox_head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.roi_head = roi_head
        self.projector = projector
        self.bbox_head = bbox_head

    def forward(self, view: Tensor, boxes: Tensor) -> Tensor:
        """Project the objects of one view (Eq. 1, and g of Eq. 4).

        Args:
            view (Tensor): Normalised images, (N, 3, H, W).
            boxes (Tensor): x1 y1 x2 y2 in pixels of the view, (N, K, 4).

        Returns:
            Tensor: Projections, (N, K, C).
        """
        h = self.object_features(view, boxes)
        return self.projector([h])[0].unflatten(0, boxes.shape[:2])

    def object_features(self, view: Tensor, boxes: Tensor) -> Tensor:
        """Compute the features of the objects of one view (Eq. 1).

        Args:
            view (Tensor): Normalised images, (N, 3, H, W).
            boxes (Tensor): x1 y1 x2 y2 in pixels of the view, (N, K, 4).

        Returns:
            Tensor: The features h, before the projector, (N * K, C').
        """
        feats = self.backbone(view)
        if self.neck is not None:
            feats = self.neck(feats)
        if self.bbox_head is None:
            return self.roi_head(feats, boxes)
        extractor = self.roi_head.bbox_roi_extractor
        levels = extractor.assign_levels(boxes.float()).flatten()
        return self.bbox_head(extractor(feats, boxes), levels)
