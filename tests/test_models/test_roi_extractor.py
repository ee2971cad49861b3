import pytest
import torch
from mmcv.ops import roi_align

from soco_mm.models import ScaleAwareRoIExtractor


@pytest.mark.parametrize(
    'side, level',
    [
        (1, 0),
        (47.9, 0),
        (48, 0),
        (48.1, 1),
        (96, 1),
        (96.1, 2),
        (192, 2),
        (192.1, 3),
        (224, 3),
        (300, 3),
    ],
)
def test_level_follows_the_square_root_of_the_area(side, level):
    extractor = ScaleAwareRoIExtractor()
    square = torch.tensor([5.0, 7.0, 5 + side, 7 + side])
    wide = torch.tensor([0.0, 0.0, side * 2, side / 2])
    assert extractor.assign_levels(wide).item() == level
    if side in (48, 96, 192, 224):  # exact in float32
        square = torch.tensor([0.0, 0.0, side, side])
    assert extractor.assign_levels(square).item() == level


def test_each_box_is_pooled_on_its_own_level_alone():
    generator = torch.Generator().manual_seed(0)
    feats = [
        torch.randn(2, 8, 224 // s, 224 // s, generator=generator, requires_grad=True)
        for s in (4, 8, 16, 32)
    ]
    sides = torch.tensor([[30.0, 60.0, 150.0], [200.0, 20.0, 96.0]])
    xy = torch.rand(2, 3, 2, generator=generator) * 20
    boxes = torch.cat([xy, xy + sides[..., None]], -1)
    pooled = ScaleAwareRoIExtractor()(feats, boxes)
    levels = [[0, 1, 2], [3, 0, 1]]
    for n in range(2):
        for k in range(3):
            roi = torch.cat([torch.zeros(1), boxes[n, k]])[None]
            level = levels[n][k]
            expected = roi_align(
                feats[level][n : n + 1], roi, 7, 1 / 2 ** (level + 2), 0, 'avg', True
            )
            assert torch.allclose(pooled[3 * n + k], expected[0], atol=1e-6)
    # A box on P4 sends no gradient into the other levels.
    gradients = torch.autograd.grad(pooled[2].sum(), feats)
    assert [bool(g.any()) for g in gradients] == [False, False, True, False]


def test_bounds_that_do_not_fit_the_levels_are_refused():
    with pytest.raises(ValueError, match='ascending bound'):
        ScaleAwareRoIExtractor(scale_bounds=(96, 48, 192, 224))
    with pytest.raises(ValueError, match='4 levels'):
        ScaleAwareRoIExtractor(scale_bounds=(48, 224))
