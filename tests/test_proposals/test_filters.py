import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from soco_mm.proposals import PRESETS, ProposalFilter
from soco_mm.proposals.filters import STATUS

numbers = st.integers(0, 200)


@given(
    st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=20),
    st.integers(1, 400),
    st.integers(1, 400),
    st.sampled_from(sorted(PRESETS)),
)
def test_kept_boxes_are_those_of_the_papers_inequalities(xywh, width, height, preset):
    boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in xywh], np.float32).reshape(
        -1, 4
    )
    settings = PRESETS[preset]['filter']
    kept, status = ProposalFilter(**settings)(boxes, width, height)

    def shaped(w, h):
        return w > 0 and h > 0 and 1 / 3 <= w / h <= 3

    def sized(w, h):
        relative = (w * h) ** 0.5 / (width * height) ** 0.5
        return 0.3 <= relative <= 0.8 and min(w, h) >= settings['min_side']

    steps = (
        [b for b in xywh if shaped(*b[2:]) and sized(*b[2:])],
        [b for b in xywh if shaped(*b[2:])],
        [b for b in xywh if min(b[2:]) >= 32],
        [(0, 0, width, height)],
    )
    expected = next(i for i, step in enumerate(steps) if step)
    assert STATUS[status] == STATUS[expected]
    np.testing.assert_array_equal(
        kept, [[x, y, x + w, y + h] for x, y, w, h in steps[expected]]
    )


def test_boxes_of_other_sizes_are_counted():
    boxes = np.float32([[0, 0, 29, 30], [0, 0, 30, 30], [0, 0, 80, 80], [0, 0, 81, 90]])
    assert ProposalFilter().count(boxes, 100, 100) == (4, 1, 1)
    assert ProposalFilter().count(boxes[:0], 100, 100) == (0, 0, 0)
