"""What torch.compile takes of the model: parts and loss without a graph break."""

import pytest
import torch
from mmengine.model import revert_sync_batchnorm
from torch import _dynamo as dynamo

from soco_mm.registry import MODELS

N, K, C = 3, 4, 32


@pytest.fixture(autouse=True)
def forget():
    dynamo.reset()
    yield
    dynamo.reset()


def check(function, *inputs):
    """It is traced whole, into one graph."""
    found = dynamo.explain(function)(*inputs)
    assert (found.graph_count, found.graph_break_count) == (1, 0), found.break_reasons


@pytest.mark.parametrize('mixed', [False, True])
@pytest.mark.parametrize(
    'loss, regulariser',
    [
        (dict(type='ObjectCosineLoss'), None),
        (dict(type='ObjectInfoNCELoss'), None),
        (dict(type='ObjectCosineLoss'), dict(type='VarianceCovarianceLoss')),
    ],
)
def test_the_path_of_the_loss_is_one_graph(loss, regulariser, mixed):
    head = revert_sync_batchnorm(
        MODELS.build(
            dict(
                type='SoCoHead',
                loss=loss,
                regulariser=regulariser,
                predictor=dict(
                    type='NonLinearNeck',
                    in_channels=C,
                    hid_channels=8,
                    out_channels=C,
                    with_avg_pool=False,
                ),
            )
        )
    ).train()
    torch.manual_seed(0)
    start = torch.rand(N, K, 2) * 20
    online, target, valid, boxes = (
        [make() for _ in range(3)]
        for make in (
            lambda: torch.randn(N, K, C, requires_grad=True),
            lambda: torch.randn(N, K, C),
            lambda: torch.rand(N, K) > 0.3,
            lambda: torch.cat([start, start + 10], -1),
        )
    )

    def losses(*inputs):
        with torch.autocast('cpu', torch.bfloat16, enabled=mixed):
            return head.loss(*inputs)

    check(losses, online, target, valid, boxes)


@pytest.mark.parametrize('part', ['backbone', 'neck', 'box head', 'projector'])
def test_each_part_of_the_encoder_is_one_graph(part, small_model):
    model = small_model.train()
    view = torch.randn(2, 3, 32, 32)
    maps = [torch.randn(2, 16 * 2**i, 8 // 2**i, 8 // 2**i) for i in range(4)]
    module, value = {
        'backbone': (model.backbone, view),
        'neck': (model.neck, maps),
        'box head': (model.roi_head.bbox_head, torch.randn(8, 32, 7, 7)),
        'projector': (model.projector, (torch.randn(8, 64),)),
    }[part]
    check(module, value)
