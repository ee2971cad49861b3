import golden
import pytest
import torch
from mmengine.config import Config

from soco_mm.checkpoint import convert_released
from soco_mm.engine.config import CONFIG_ROOT
from soco_mm.registry import MODELS


def test_imported_released_model_gives_the_released_loss_and_gradients():
    state_dict = convert_released(golden.released_checkpoint()['model'])
    assert len(state_dict) == len(golden.released_shapes()) == 811

    cfg = Config.fromfile(CONFIG_ROOT / 'soco/soco_r50_fpn_100e.py')
    model = MODELS.build(cfg.model).eval()
    keys = model.load_state_dict(state_dict, strict=False)
    assert keys.unexpected_keys == []
    assert keys.missing_keys == ['target_net.steps']

    before = {k: v.clone() for k, v in model.state_dict().items()}
    loss = model.loss(*golden.inputs())['loss']
    loss.backward()
    assert loss.shape == ()
    assert loss.item() == pytest.approx(golden.LOSS, rel=1e-4)
    parameters = dict(model.named_parameters())
    for name, norm in golden.GRAD_NORMS.items():
        assert parameters[name].grad.norm().item() == pytest.approx(norm, rel=1e-3), (
            name
        )
    assert all(p.grad is None for p in model.target_net.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
