import numpy as np
from mmcv.transforms import BaseTransform

from soco_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SelectProposals(BaseTransform):
    """Draw K of the proposals that are visible in all views (Section 3.2).

    Turns ``boxes`` into lists of (K, 4) where box k is the same object in all
    views, and adds ``valid``, a list of booleans (K,). Where fewer than K are
    visible, those are repeated in slots that are not valid; where none is, the
    whole view stands for it, one valid box.

    Args:
        num_proposals (int): K. Defaults to 4.
    """

    def __init__(self, num_proposals: int = 4) -> None:
        self.num_proposals = num_proposals

    def transform(self, results: dict) -> dict:
        """Select the proposals."""
        candidates = np.flatnonzero(
            np.logical_and.reduce(results['visible']))
        number = min(len(candidates), self.num_proposals)
        if number:
            chosen = results['rng'].choice(candidates, number, replace=False)
            slots = np.resize(chosen, self.num_proposals)
            results['boxes'] = [boxes[slots] for boxes in results['boxes']]
        else:
            results['boxes'] = [
                np.tile(
                    np.float32([0, 0, view.shape[1], view.shape[0]]),
                    (self.num_proposals, 1)) for view in results['views']
            ]
        valid = np.arange(self.num_proposals) < max(number, 1)
        results['valid'] = [valid.copy() for _ in results['views']]
        return results


@TRANSFORMS.register_module()
class BoxJitter(BaseTransform):
    """Move and scale boxes a little, in each view on its own (Section 3.2).

    With its probability, a box of centre (x, y) and size (w, h) becomes
    x + r w, y + r h, w + r w, h + r h, each r drawn on its own and uniformly
    from [-max_ratio, max_ratio]; then it is clipped to the view. A box of
    which less than a pixel would remain stays as it is.

    Args:
        prob (float): Probability for each box. Defaults to 0.5.
        max_ratio (float): Largest shift and growth. Defaults to 0.1.
    """

    def __init__(self, prob: float = 0.5, max_ratio: float = 0.1) -> None:
        self.prob = prob
        self.max_ratio = max_ratio

    def transform(self, results: dict) -> dict:
        """Jitter the boxes of all views."""
        rng = results['rng']
        boxes = np.stack(results['boxes'])
        size = boxes[..., 2:] - boxes[..., :2]
        centre = (boxes[..., 2:] + boxes[..., :2]) / 2
        ratio = rng.uniform(-self.max_ratio, self.max_ratio,
                            (*boxes.shape[:2], 4))
        moved = centre + ratio[..., :2] * size
        half = size * (1 + ratio[..., 2:]) / 2
        limit = np.array([view.shape[1::-1] for view in results['views']])
        jittered = np.concatenate([moved - half, moved + half], -1)
        jittered = jittered.clip(0, np.tile(limit, 2)[:, None])
        remains = (jittered[..., 2:] - jittered[..., :2] >= 1).all(-1)
        chosen = (rng.random(boxes.shape[:2]) < self.prob) & remains
        boxes = np.where(chosen[..., None], jittered, boxes)
        results['boxes'] = list(boxes.astype(np.float32))
        return results
