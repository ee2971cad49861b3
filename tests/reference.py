"""SoCo written out from its paper, to check the models against.

Plain functions of weights under the names of a released checkpoint, less
``module.`` and the target network's ``_k``. A network is a dictionary of
them. One with a ``head`` has the FPN layout, one without it the C4 layout.
Batch norm uses its running statistics. Nothing here is meant to be fast.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

Network = dict[str, Tensor]
# ResNet-50: number of blocks of layer1 to layer4.
BLOCKS = (3, 4, 6, 3)


def networks(model: dict[str, Tensor]) -> tuple[Network, Network]:
    """Online and target network of a released checkpoint's ``model``.

    In float64, where the order of sums does not matter. The parameters of the
    online network take gradients.
    """
    online, target = {}, {}
    for name, value in model.items():
        part, _, rest = name.removeprefix('module.').partition('.')
        network = target if part.endswith('_k') else online
        network[f'{part.removesuffix("_k")}.{rest}'] = value.double()
    for name, value in online.items():
        if name.endswith(('weight', 'bias')):
            value.requires_grad_()
    return online, target


def conv(net: Network, name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = net[f'{name}.weight']
    return F.conv2d(x, weight, stride=stride, padding=weight.size(-1) // 2)


def norm(net: Network, name: str, x: Tensor) -> Tensor:
    mean, var = net[f'{name}.running_mean'], net[f'{name}.running_var']
    return F.batch_norm(x, mean, var, net[f'{name}.weight'], net[f'{name}.bias'])


def linear(net: Network, name: str, x: Tensor) -> Tensor:
    return F.linear(x, net[f'{name}.weight'], net[f'{name}.bias'])


def residual_layer(net: Network, number: int, x: Tensor) -> Tensor:
    """``layer1`` to ``layer4``; all but the first halve the resolution."""
    for block in range(BLOCKS[number - 1]):
        name = f'encoder.layer{number}.{block}'
        stride = 2 if number > 1 and block == 0 else 1
        y = F.relu(norm(net, f'{name}.bn1', conv(net, f'{name}.conv1', x)))
        y = conv(net, f'{name}.conv2', y, stride)
        y = F.relu(norm(net, f'{name}.bn2', y))
        y = norm(net, f'{name}.bn3', conv(net, f'{name}.conv3', y))
        if block == 0:
            x = conv(net, f'{name}.downsample.0', x, stride)
            x = norm(net, f'{name}.downsample.1', x)
        x = F.relu(x + y)
    return x


def residual_stages(net: Network, view: Tensor, number: int) -> list[Tensor]:
    """C2, C3, ...: outputs of the first ``number`` residual layers."""
    x = F.relu(norm(net, 'encoder.bn1', conv(net, 'encoder.conv1', view, 2)))
    stages = [F.max_pool2d(x, 3, 2, 1)]
    for layer in range(1, number + 1):
        stages.append(residual_layer(net, layer, stages[-1]))
    return stages[1:]


def pyramid(net: Network, stages: list[Tensor]) -> list[Tensor]:
    """P2 to P5 of C2 to C5: a coarse map is added to the next finer one."""

    def convolve(kind: str, level: int, x: Tensor) -> Tensor:
        name = f'neck.{kind}_convs.{level}'
        return norm(net, f'{name}.bn', conv(net, f'{name}.conv', x))

    maps = [convolve('lateral', level, c) for level, c in enumerate(stages)]
    for level in (2, 1, 0):
        coarse = F.interpolate(maps[level + 1], maps[level].shape[-2:])
        maps[level] = maps[level] + coarse
    return [convolve('fpn', level, x) for level, x in enumerate(maps)]


def bin_weights(start: float, stop: float, bins: int, size: int) -> Tensor:
    """Share of each of ``size`` cells in each bin of an interval.

    A bin is the mean of the linear interpolations at ceil(length) evenly
    spread points, its length in cells. Cell i lies at i; points further than
    one cell out count 0, the others move to the nearest cell.
    """
    points = max(1, math.ceil((stop - start) / bins))
    at = torch.arange(bins * points, dtype=torch.float64) + 0.5
    at = start + (stop - start) * at / (bins * points)
    distance = at.clamp(0, size - 1)[:, None] - torch.arange(size)
    weights = (1 - distance.abs()).clamp(min=0)
    weights[(at < -1) | (at > size)] = 0
    return weights.view(bins, points, size).mean(1)


def roi_align(features: Tensor, box: Tensor, stride: int, bins: int) -> Tensor:
    """(C, H, W) features and one box in pixels -> (C, bins, bins)."""
    # A cell's value lies in its middle.
    x1, y1, x2, y2 = (box / stride - 0.5).tolist()
    height, width = features.shape[1:]
    rows = bin_weights(y1, y2, bins, height)
    columns = bin_weights(x1, x2, bins, width)
    return rows @ features @ columns.T


def level_of(box: Tensor) -> int:
    """0 for P2 to 3 for P5, by the root of the box's area in pixels."""
    side = ((box[2] - box[0]) * (box[3] - box[1])).sqrt().item()
    return 0 if side <= 48 else 1 if side <= 96 else 2 if side <= 192 else 3


def representations(net: Network, view: Tensor, boxes: Tensor, valid: Tensor) -> Tensor:
    """Eq. 1, h = f^H(RoIAlign(f^I(V), b)), of the valid boxes in turn."""
    if 'head.fc1.weight' not in net:  # C4: f^H is the fifth residual block
        maps = residual_stages(net, view, 3)[-1]
        rois = torch.stack(
            [
                roi_align(maps[image], boxes[image, box], 16, 14)
                for image, box in valid.nonzero().tolist()
            ]
        )
        return residual_layer(net, 4, rois).mean((2, 3))
    maps = pyramid(net, residual_stages(net, view, 4))
    rois = []
    for image, box in valid.nonzero().tolist():
        level = level_of(boxes[image, box])
        rois.append(roi_align(maps[level][image], boxes[image, box], 4 * 2**level, 7))
    x = torch.stack(rois)
    for number in range(1, 5):
        x = conv(net, f'head.conv{number}', x)
        x = F.relu(norm(net, f'head.bn{number}', x))
    return F.relu(linear(net, 'head.fc1', x.flatten(1)))


def mlp(net: Network, name: str, x: Tensor) -> Tensor:
    x = F.relu(norm(net, f'{name}.bn1', linear(net, f'{name}.linear1', x)))
    return linear(net, f'{name}.linear2', x)


def scatter(vectors: Tensor, valid: Tensor) -> Tensor:
    """Vectors of the valid boxes in turn -> (N, K, C), 0 for the others."""
    out = vectors.new_zeros(*valid.shape, vectors.size(1))
    out[valid] = vectors
    return out


def object_loss(
    online: Network,
    target: Network,
    views: list[Tensor],
    boxes: list[Tensor],
    valid: list[Tensor],
) -> Tensor:
    """The loss of pairs (1, 2), (1, 3), ... of views.

    Args:
        online (dict): Parameters theta and their running statistics.
        target (dict): Parameters xi and their running statistics.
        views (list[Tensor]): (N, 3, H, W) each, float64.
        boxes (list[Tensor]): (N, K, 4) each, x1 y1 x2 y2 in pixels.
        valid (list[Tensor]): (N, K) booleans each. A pair compares the
            proposals that are in both of its views, of which every image has
            at least one.

    Returns:
        Tensor: A scalar.
    """
    # Eq. 4: v = q_theta(g_theta(h)) and v' = g_xi(h'). The roles of the
    # views are exchanged too, so every view goes through both networks.
    v, v_target = [], []
    for view, box, mask in zip(views, boxes, valid):
        z = mlp(online, 'projector', representations(online, view, box, mask))
        v.append(scatter(mlp(online, 'predictor', z), mask))
        with torch.no_grad():
            h = representations(target, view, box, mask)
            v_target.append(scatter(mlp(target, 'projector', h), mask))
    # Eq. 5 sums -2 cos(v_i, v'_i) over pairs of views, Eq. 6 averages over
    # the proposals i of an image, and L + L~ takes both directions.
    losses = []
    for image in range(len(views[0])):
        for j in range(1, len(views)):
            both = valid[0][image] & valid[j][image]
            for first, second in ((0, j), (j, 0)):
                a, b = v[first][image, both], v_target[second][image, both]
                cosine = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
                losses.append(-2 * cosine.mean())
    return sum(losses) / len(views[0])
