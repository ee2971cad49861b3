"""The models against the paper's equations, written a second time."""

import golden
import numpy as np
import pytest
import reference
import torch
from mmengine.config import Config

from soco_mm.checkpoint import convert_released
from soco_mm.engine.config import CONFIG_ROOT
from soco_mm.registry import MODELS

# Parameters from the first layer to the last: released name -> name here.
ENCODER = {
    'encoder.conv1.weight': 'backbone.conv1.weight',
    'encoder.bn1.bias': 'backbone.bn1.bias',
    'encoder.layer1.0.downsample.0.weight': 'backbone.layer1.0.downsample.0.weight',
    'encoder.layer2.3.conv2.weight': 'backbone.layer2.3.conv2.weight',
    'encoder.layer3.5.bn3.weight': 'backbone.layer3.5.bn3.weight',
}
MLPS = {
    'projector.linear1.weight': 'projector.fc0.weight',
    'projector.bn1.weight': 'projector.bn0.weight',
    'projector.linear2.bias': 'projector.fc1.bias',
    'predictor.linear1.weight': 'head.predictor.fc0.weight',
    'predictor.linear2.weight': 'head.predictor.fc1.weight',
}
FPN = {
    **ENCODER,
    'encoder.layer4.2.conv3.weight': 'backbone.layer4.2.conv3.weight',
    'neck.lateral_convs.0.conv.weight': 'neck.lateral_convs.0.conv.weight',
    'neck.lateral_convs.2.bn.weight': 'neck.lateral_convs.2.bn.weight',
    'neck.fpn_convs.0.conv.weight': 'neck.fpn_convs.0.conv.weight',
    'neck.fpn_convs.1.conv.weight': 'neck.fpn_convs.1.conv.weight',
    'neck.fpn_convs.2.conv.weight': 'neck.fpn_convs.2.conv.weight',
    'neck.fpn_convs.3.conv.weight': 'neck.fpn_convs.3.conv.weight',
    'head.conv1.weight': 'roi_head.bbox_head.shared_convs.0.conv.weight',
    'head.bn4.bias': 'roi_head.bbox_head.shared_convs.3.bn.bias',
    'head.fc1.weight': 'roi_head.bbox_head.shared_fcs.0.weight',
    **MLPS,
}
C4 = {
    **ENCODER,
    'encoder.layer4.0.conv1.weight': 'roi_head.shared_head.layer4.0.conv1.weight',
    'encoder.layer4.0.downsample.1.weight': 'roi_head.shared_head.layer4.0.downsample.1.weight',
    'encoder.layer4.2.conv3.weight': 'roi_head.shared_head.layer4.2.conv3.weight',
    **MLPS,
}


def image(seed: int, number: int, size: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal((number, 3, size, size)))


def boxes(seed: int, size: int, sides: list) -> torch.Tensor:
    """Four boxes in each of two images."""
    return torch.from_numpy(golden.make_boxes(seed, size, sides)).double()


def mask(*rows: str) -> torch.Tensor:
    """Which proposals of an image are in a view, one digit each."""
    return torch.tensor([[digit == '1' for digit in row] for row in rows])


def c4_checkpoint() -> dict:
    """A released checkpoint of the C4 layout: no neck and no other head."""
    shapes = {
        name: shape
        for name, shape in golden.released_shapes().items()
        if '.neck' not in name and '.head' not in name
    }
    for projector in ('projector', 'projector_k'):
        shapes[f'module.{projector}.linear1.weight'] = (4096, 2048)
    model = {name: golden.fill(name, shape) for name, shape in shapes.items()}
    return dict(model=model, epoch=100)


def c4_inputs() -> tuple:
    """Two views of two images, which have 2 and 1 proposals in common."""
    views = [image(31, 2, 224), image(32, 2, 224)]
    pair = [
        boxes(33, 224, [70, 120, 160, 210])[:, 2:],
        boxes(34, 224, [110, 170, 205, 80])[:, 2:],
    ]
    return views, pair, [mask('11', '11'), mask('11', '01')]


def star_inputs() -> tuple:
    """SoCo*: proposals A, in views 1, 2 and 4, then B, in views 1 and 3.

    View 2 lacks one of its proposals, view 3 two.
    """
    views = [image(41, 1, 224), image(42, 1, 224), image(43, 1, 112), image(44, 1, 192)]
    absent = torch.zeros(2, 4, 4)
    pairs = [
        (boxes(45, 224, [70, 120, 160, 210]), boxes(46, 224, [100, 180, 205, 45])),
        (boxes(47, 224, [110, 170, 205, 80]), absent),
        (absent, boxes(48, 112, [60, 40, 80, 30])),
        (boxes(49, 192, [60, 100, 150, 185]), absent),
    ]
    valid = ['11111111', '10110000', '00001001', '11110000']
    return (
        views,
        [torch.cat(pair, 1)[:1] for pair in pairs],
        [mask(row) for row in valid],
    )


@pytest.fixture(scope='module')
def fpn_checkpoint() -> dict:
    return golden.released_checkpoint()


@pytest.fixture
def float64(monkeypatch):
    """The model in float64 throughout.

    In float32 units next to zero fall on either side of their ReLU, by the
    order of sums, which moves gradients by 1e-3: more than many mistakes do.
    The model turns what RoIAlign gets into float32 by this method.
    """
    monkeypatch.setattr(torch.Tensor, 'float', torch.Tensor.double)


def gradient(loss: torch.Tensor, parameters: dict, names) -> tuple:
    """Gradients of some parameters: time is too short for all."""
    return torch.autograd.grad(loss, [parameters[name] for name in names])


def check(config: str, checkpoint: dict, inputs: tuple, names: dict) -> None:
    """Compare the loss and gradients of an imported checkpoint."""
    online, target = reference.networks(checkpoint['model'])
    expected = reference.object_loss(online, target, *inputs)
    gradients = gradient(expected, online, names)
    expected = expected.item()
    del online, target

    state_dict = convert_released(checkpoint['model'])
    assert len(state_dict) == len(checkpoint['model'])
    cfg = Config.fromfile(CONFIG_ROOT / config)
    model = MODELS.build(cfg.model).eval().double()
    keys = model.load_state_dict(state_dict, strict=False)
    assert keys.unexpected_keys == []
    assert keys.missing_keys == ['target_net.steps']
    loss = model.loss(*inputs)['loss']

    assert loss.dtype == torch.float64
    assert loss.item() == pytest.approx(expected, rel=1e-9)
    parameters = dict(model.named_parameters())
    actual = gradient(loss, parameters, names.values())
    for name, ours, theirs in zip(names, actual, gradients):
        assert (ours - theirs).norm() < 1e-9 * theirs.norm(), name
    assert not any(p.requires_grad for p in model.target_net.parameters())


def test_reference_gives_the_loss_and_gradients_of_the_released_model(fpn_checkpoint):
    online, target = reference.networks(fpn_checkpoint['model'])
    views, boxes, valid = golden.inputs()
    views = [view.double() for view in views]
    loss = reference.object_loss(online, target, views, boxes, valid)

    assert loss.item() == pytest.approx(golden.LOSS, rel=1e-4)
    released = {here: name for name, here in FPN.items()}
    names = [released[here] for here in golden.GRAD_NORMS]
    gradients = gradient(loss, online, names)
    for value, name, norm in zip(gradients, names, golden.GRAD_NORMS.values()):
        assert value.norm().item() == pytest.approx(norm, rel=1e-3), name


def test_c4_model_follows_the_paper(float64):
    check('soco/soco_r50_c4_100e.py', c4_checkpoint(), c4_inputs(), C4)


def test_four_view_model_follows_the_paper(float64, fpn_checkpoint):
    check('soco/soco-star_r50_fpn_400e.py', fpn_checkpoint, star_inputs(), FPN)
