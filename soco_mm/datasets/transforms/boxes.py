from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from soco_mm.registry import TRANSFORMS

from .per_view import Prob, per_view


@TRANSFORMS.register_module()
class SelectProposals(BaseTransform):
    """Draw K of the proposals that are visible in all views (Section 3.2).

    Turns ``boxes`` into lists of (S K, 4) where box k is the same object in
    all views, and adds ``valid``, a list of booleans (S K,). S is 1 in the
    paper. The authors' released code draws S = 2 sets, each for some of the
    views, and visible in these: K slots for each set, valid in its views.
    If fewer than K are visible, they are repeated in slots that are not
    valid; if none is, the whole view is used, as one valid box.

    Args:
        num_proposals (int): K. Defaults to 4.
        view_sets (Sequence[Sequence[int]], optional): The views of each set,
            by index from 0. Defaults to None, one set for all views.
        whole_view (bool): Make the whole view one more object of each set, in
            a slot of its own. Defaults to False.
        max_proposals (int, optional): Also keep this many proposals of each
            view, whether drawn or not, for a model with an ``rpn_head``:
            ``view_proposals``, a list of (M, 4), padded with zeros, and
            ``num_proposals``, a list of how many there are. If there are more,
            M are drawn. Defaults to None, none.

    Raises:
        ValueError: If a set has fewer than two views.
    """

    def __init__(
        self,
        num_proposals: int = 4,
        view_sets: Sequence[Sequence[int]] | None = None,
        whole_view: bool = False,
        max_proposals: int | None = None,
    ) -> None:
        if view_sets is not None and min(map(len, view_sets)) < 2:
            raise ValueError(
                'A set of proposals needs two or more views to '
                f'be contrasted, but view_sets is {view_sets}.'
            )
        self.num_proposals = num_proposals
        self.view_sets = view_sets
        self.whole_view = whole_view
        self.max_proposals = max_proposals

    def transform(self, results: dict) -> dict:
        """Select the proposals."""
        number = len(results['views'])
        parts = [
            self._select(results, views) for views in self.view_sets or [range(number)]
        ]
        if self.max_proposals is not None:
            kept = [
                self._keep(results['rng'], boxes[visible])
                for boxes, visible in zip(results['boxes'], results['visible'])
            ]
            results['view_proposals'], results['num_proposals'] = map(list, zip(*kept))
        for key, each in zip(('boxes', 'valid'), zip(*parts)):
            results[key] = [np.concatenate(view) for view in zip(*each)]
        return results

    def _select(self, results: dict, views: Sequence[int]) -> tuple:
        """Boxes and masks of one set, each a list with one entry per view."""
        candidates = np.flatnonzero(
            np.logical_and.reduce([results['visible'][v] for v in views])
        )
        number = min(len(candidates), self.num_proposals)
        whole = [
            np.float32([[0, 0, view.shape[1], view.shape[0]]])
            for view in results['views']
        ]
        if number:
            chosen = results['rng'].choice(candidates, number, replace=False)
            slots = np.resize(chosen, self.num_proposals)
            boxes = [boxes[slots] for boxes in results['boxes']]
        else:
            boxes = [np.tile(box, (self.num_proposals, 1)) for box in whole]
        if self.whole_view:
            boxes = [np.concatenate(each) for each in zip(boxes, whole)]
            valid = np.append(np.arange(self.num_proposals) < number, True)
        else:
            valid = np.arange(self.num_proposals) < max(number, 1)
        return boxes, [valid & (v in views) for v in range(len(boxes))]

    def _keep(self, rng: np.random.Generator, boxes: np.ndarray) -> tuple:
        """Up to ``max_proposals`` boxes of a view, padded, and their number."""
        if len(boxes) > self.max_proposals:
            boxes = boxes[rng.choice(len(boxes), self.max_proposals, replace=False)]
        padded = np.zeros((self.max_proposals, 4), np.float32)
        padded[: len(boxes)] = boxes
        return padded, len(boxes)


@TRANSFORMS.register_module()
class BoxJitter(BaseTransform):
    """Move and scale boxes a little, independently in each view (Section 3.2).

    With its probability, a box of centre (x, y) and size (w, h) becomes
    x + r w, y + r h, w + r w, h + r h, each r drawn independently and
    uniformly from [-max_ratio, max_ratio]; then it is clipped to the view. A
    box of which less than a pixel would remain stays as it is.

    In the authors' released code (x, y) is the top-left corner, so that a box
    grows to the right and downwards.

    Args:
        prob (float | Sequence[float]): Probability for each box, see
            :func:`per_view`. Defaults to 0.5.
        max_ratio (float): Largest shift and growth. Defaults to 0.1.
        anchor (str): What (x, y) is, ``centre`` or ``corner``. Defaults to
            ``centre``.

    Raises:
        ValueError: If ``anchor`` is neither.
    """

    def __init__(
        self, prob: Prob = 0.5, max_ratio: float = 0.1, anchor: str = 'centre'
    ) -> None:
        if anchor not in ('centre', 'corner'):
            raise ValueError(f'anchor must be "centre" or "corner", but is "{anchor}".')
        self.prob = prob
        self.max_ratio = max_ratio
        self.anchor = anchor

    def transform(self, results: dict) -> dict:
        """Jitter the boxes of all views."""
        rng = results['rng']
        boxes = np.stack(results['boxes'])
        size = boxes[..., 2:] - boxes[..., :2]
        ratio = rng.uniform(-self.max_ratio, self.max_ratio, (*boxes.shape[:2], 4))
        grown = size * (1 + ratio[..., 2:])
        if self.anchor == 'corner':
            start = boxes[..., :2] + ratio[..., :2] * size
            jittered = np.concatenate([start, start + grown], -1)
        else:
            centre = (boxes[..., 2:] + boxes[..., :2]) / 2
            moved, half = centre + ratio[..., :2] * size, grown / 2
            jittered = np.concatenate([moved - half, moved + half], -1)
        limit = np.array([view.shape[1::-1] for view in results['views']])
        jittered = jittered.clip(0, np.tile(limit, 2)[:, None])
        remains = (jittered[..., 2:] - jittered[..., :2] >= 1).all(-1)
        prob = np.array(per_view(self.prob, len(boxes)))[:, None]
        chosen = (rng.random(boxes.shape[:2]) < prob) & remains
        boxes = np.where(chosen[..., None], jittered, boxes)
        results['boxes'] = list(boxes.astype(np.float32))
        return results


@TRANSFORMS.register_module()
class BoxCutout(BaseTransform):
    """Cover a part of each object, as the authors' released code does.

    With its probability, a square becomes grey, ImageNet's mean. Its centre is
    uniform in the box, so that it may reach out of it. Boxes that are not
    valid in a view stay as they are.

    Args:
        prob (float | Sequence[float]): Probability for each box, see
            :func:`per_view`.
        area (tuple): Range of the square's area as a share of the box's,
            uniform. Defaults to (0.1, 0.3).
    """

    COLOR = (124, 116, 104)

    def __init__(self, prob: Prob, area: tuple[float, float] = (0.1, 0.3)) -> None:
        self.prob = prob
        self.area = area

    def transform(self, results: dict) -> dict:
        """Cover parts of some of the objects."""
        rng = results['rng']
        boxes = np.stack(results['boxes'])
        size = boxes[..., 2:] - boxes[..., :2]
        share = rng.uniform(*self.area, (*boxes.shape[:2], 1))
        side = np.sqrt(share * size.prod(-1, keepdims=True)).round()
        centre = boxes[..., :2] + rng.random(size.shape) * size
        start = (centre - side / 2).round()
        # A slice must not start below 0; NumPy cuts it at the end of the view.
        patches = np.concatenate([start, start + side], -1).clip(0)
        prob = np.array(per_view(self.prob, len(boxes)))[:, None]
        chosen = rng.random(boxes.shape[:2]) < prob
        chosen &= np.stack(results['valid'])
        for view, slot in np.argwhere(chosen):
            x1, y1, x2, y2 = patches[view, slot].astype(int)
            image = np.ascontiguousarray(results['views'][view])
            image[y1:y2, x1:x2] = self.COLOR
            results['views'][view] = image
        return results
