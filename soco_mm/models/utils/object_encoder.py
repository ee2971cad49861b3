from collections.abc import Sequence
from typing import TypeAlias

from torch import Tensor, nn

from .upper_levels import upper_levels
from .view_batch import map_views, share_collectives

Features: TypeAlias = Tensor | tuple[Tensor]


class ObjectEncoder(nn.Module):
    r"""From a view and its boxes to projections: :math:`g(f^H(f^I(V), b))`.

    Both networks of SoCo are object encoders, with different weights.

    Args:
        backbone (nn.Module, optional): Backbone, the first part of
            :math:`f^I`; None if the maps that it computes are given instead
            of images.
        neck (nn.Module, optional): Feature pyramid, the second part of
            :math:`f^I`; None for C4.
        roi_head (nn.Module): RoIAlign and :math:`f^H`.
        projector (nn.Module): Projector g.
        bbox_head (nn.Module, optional): The towers of a one-stage detector,
            which then are :math:`f^H`. Defaults to None, that of ``roi_head``.
    """

    def __init__(
        self,
        backbone: nn.Module | None,
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

    def extract_feat(self, view: Features, skipped: int = 0) -> tuple[Tensor]:
        """Compute the feature maps of one view, :math:`f^I(V)` of Eq. 1.

        Args:
            view (Tensor | tuple[Tensor]): Normalised images, (N, 3, H, W); or
                the maps of the parts that this encoder does not have.
            skipped (int): How many of the finest maps are None, see
                :func:`upper_levels`. Defaults to 0.

        Returns:
            tuple[Tensor]: The maps before the R-CNN head: the pyramid levels,
            or the last stage of the backbone in C4 models, (N, C, H_l, W_l)
            each.
        """
        feats = view if self.backbone is None else self.backbone(view)
        if self.neck is None:
            return feats
        return upper_levels(self.neck, feats, skipped) if skipped else self.neck(feats)

    def head_features(self, feats: tuple[Tensor], boxes: Tensor) -> Tensor:
        """Compute the object-level features h of Eq. 1.

        Args:
            feats (tuple[Tensor]): What :meth:`extract_feat` returns.
            boxes (Tensor): x1 y1 x2 y2 in pixels of the view, (N, K, 4).

        Returns:
            Tensor: Object features, (N * K, C').
        """
        if self.bbox_head is None:
            return self.roi_head(feats, boxes)
        extractor = self.roi_head.bbox_roi_extractor
        levels = extractor.assign_levels(boxes.float()).flatten()
        return self.bbox_head(extractor(feats, boxes), levels)

    def extract_views(
        self, views: Sequence[Features], skipped: Sequence[int] = ()
    ) -> list[tuple[Tensor]]:
        """Compute :meth:`extract_feat` of all views, see :func:`map_views`."""
        if any(skipped):
            return list(map(self.extract_feat, views, skipped))
        return map_views(self.extract_feat, views, self.backbone, self.neck)

    def head_views(
        self, feats: Sequence[tuple[Tensor]], boxes: Sequence[Tensor]
    ) -> list[Tensor]:
        """Compute :meth:`head_features` of all views, see :func:`map_views`."""
        # Towers may have layers for the objects of a level.
        if self.bbox_head is not None or not share_collectives(self.roi_head):
            return [self.head_features(*each) for each in zip(feats, boxes)]
        pooled = list(map(self.roi_head.bbox_roi_extractor, feats, boxes))
        return map_views(self.roi_head.encode, pooled, self.roi_head)

    def project_views(
        self, h: Sequence[Tensor], boxes: Sequence[Tensor]
    ) -> list[Tensor]:
        """Compute :meth:`project` of all views, see :func:`map_views`."""
        found = map_views(lambda x: self.projector([x])[0], h, self.projector)
        return [z.unflatten(0, box.shape[:2]) for z, box in zip(found, boxes)]

    def project(self, h: Tensor, boxes: Tensor) -> Tensor:
        """Project object features, g of Eq. 4.

        Args:
            h (Tensor): What :meth:`head_features` returns.
            boxes (Tensor): The boxes, (N, K, 4).

        Returns:
            Tensor: Projections, (N, K, C).
        """
        return self.projector([h])[0].unflatten(0, boxes.shape[:2])

    def forward(self, view: Features, boxes: Tensor) -> Tensor:
        """Project the objects of one view (Eq. 1, and g of Eq. 4).

        Args:
            view (Tensor | tuple[Tensor]): See :meth:`extract_feat`.
            boxes (Tensor): x1 y1 x2 y2 in pixels of the view, (N, K, 4).

        Returns:
            Tensor: Projections, (N, K, C).
        """
        feats = self.extract_feat(view)
        return self.project(self.head_features(feats, boxes), boxes)

    def forward_views(
        self,
        views: Sequence[Features],
        boxes: Sequence[Tensor],
        skipped: Sequence[int],
    ) -> list[Tensor]:
        """Compute :meth:`forward` of all views, see :func:`map_views`.

        One view after the other, so that its maps are gone before the next, unless
        views share collectives.
        """
        if share_collectives(self):
            h = self.head_views(self.extract_views(views), boxes)
            return self.project_views(h, boxes)
        return [
            self.project(self.head_features(self.extract_feat(view, few), box), box)
            for view, box, few in zip(views, boxes, skipped)
        ]

    def object_features(self, view: Features, boxes: Tensor) -> Tensor:
        """Compute the features of the objects of one view (Eq. 1).

        Args:
            view (Tensor | tuple[Tensor]): See :meth:`extract_feat`.
            boxes (Tensor): x1 y1 x2 y2 in pixels of the view, (N, K, 4).

        Returns:
            Tensor: The features h, before the projector, (N * K, C').
        """
        return self.head_features(self.extract_feat(view), boxes)
