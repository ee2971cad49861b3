import torch
from mmengine.config import ConfigDict
from torch import Tensor, nn


@torch.no_grad()
def best_proposals(
    rpn_head: nn.Module, feats: tuple[Tensor], size: tuple[int, int], number: int
) -> list[Tensor]:
    """The boxes of an RPN with the highest scores.

    Args:
        rpn_head (nn.Module): MMDetection's ``RPNHead``.
        feats (tuple[Tensor]): Feature maps from fine to coarse, (N, C, H_l,
            W_l) each; more than the RPN has levels are ignored.
        size (tuple[int, int]): Height and width of the images.
        number (int): How many boxes of each image, at the most.

    Returns:
        list[Tensor]: Of each image x1 y1 x2 y2 in its pixels, (P, 4), the best
        first.
    """
    maps = feats[: rpn_head.prior_generator.num_levels]
    found = rpn_head.predict_by_feat(
        *rpn_head(maps),
        batch_img_metas=[dict(img_shape=size)] * len(maps[0]),
        # As MMDetection's detectors test.
        cfg=ConfigDict(
            nms_pre=1000,
            max_per_img=number,
            nms=dict(type='nms', iou_threshold=0.7),
            min_bbox_size=0,
        ),
        rescale=False,
    )
    return [each.bboxes for each in found]
