"""SoCo, Eq. 1 to 6 of https://arxiv.org/abs/2106.02637, in one file of plain PyTorch.

Read it beside Section 3. The backbone is four convolutions; ResNet, LARS and all of the
augmentation are in `soco_mm`. N images, K proposals each; boxes: x1 y1 x2 y2, pixels.
"""

from copy import deepcopy
from math import ceil, cos, pi
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

K, C, STEPS = 4, 32, 30  # C: channels of the pyramid (256 in the paper)


def propose(image):
    """Section 3.2: objects of a usual shape and size, and the whole image: (P, 4)."""
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(image)
    search.switchToSingleStrategy(500, 0.9)  # scale, sigma
    x, y, w, h = np.unique(search.process(), axis=0).T.astype(float)
    size = np.sqrt(w * h / (image.shape[0] * image.shape[1]))
    kept = (w <= 3 * h) & (h <= 3 * w) & (size >= 0.3) & (size <= 0.8)
    boxes = np.stack([x, y, x + w, y + h], 1)[kept]
    return np.append(boxes, [[0, 0, image.shape[1], image.shape[0]]], 0)


def make_views(image, boxes, crop):
    """V1: the image; V2: a crop of V1; V3: V2 at half the size. The boxes follow."""
    x, y, w, h = crop
    v1 = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)
    v2 = cv2.resize(v1[y : y + h, x : x + w], (224, 224))
    v3 = cv2.resize(v2, (112, 112), interpolation=cv2.INTER_AREA)
    b1 = boxes * 224 / np.tile(image.shape[1::-1], 2)
    b2 = ((b1 - [x, y, x, y]) * 224 / [w, h, w, h]).clip(0, 224)
    return [v1, v2, v3], [b1, b2, b2 / 2]


def jitter(boxes, r):
    """x + r w, y + r h, w + r w, h + r h, where x and y are the centre of the box."""
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    centre, size = centre + r[:, :2] * size, size + r[:, 2:] * size
    return np.concatenate([centre - size / 2, centre + size / 2], 1)


def sample(image, proposals, rng):
    """Three views (3, S, S), their boxes (K, 4), and which of the K count (K,)."""
    size = rng.integers(159, 225, 2)  # a crop of 0.5 to 1 of the area of V1
    views, boxes = make_views(image, proposals, (*rng.integers(225 - size), *size))
    visible = np.flatnonzero((boxes[2][:-1, 2:] - boxes[2][:-1, :2] >= 1).all(1))
    drawn = [*rng.permutation(visible)[:K]] or [-1]  # none: the whole view
    slots = (drawn + drawn[:1] * K)[:K]  # fewer than K: repeats, which do not count
    for v, (view, box) in enumerate(zip(views, boxes)):
        moved = jitter(box[slots], rng.uniform(-0.1, 0.1, (K, 4))).clip(0, len(view))
        box = np.where(rng.random((K, 1)) < 0.5, moved, box[slots])
        if rng.random() < 0.5:  # flip
            view, box[:, [0, 2]] = view[:, ::-1], len(view) - box[:, [2, 0]]
        view = (view / 255 * rng.uniform(0.6, 1.4, 3) - 0.45) / 0.23  # colours
        views[v], boxes[v] = np.float32(view.transpose(2, 0, 1)), np.float32(box)
    return views, boxes, np.arange(K) < len(drawn)


def roi_align(pyramid, n, box):
    """RoIAlign, (C, 7, 7), on P2 up to a sqrt(area) of 48 pixels, P3 96, P4 192, P5."""
    scale = (box[2:] - box[:2]).prod().sqrt()
    level = int((scale > torch.tensor([48, 96, 192])).sum())
    feature, box = pyramid[level][n], box / (4 * 2**level) - 0.5  # of centres of cells
    weights = []  # of the cells of a row, then of a column, in each bin
    for i, cells in enumerate(feature.shape[:0:-1]):
        start, stop = box[i::2]
        points = max(1, ceil((stop - start) / 7))  # per bin, interpolated linearly
        at = start + (stop - start) * (torch.arange(7 * points) + 0.5) / (7 * points)
        distance = (at.clamp(0, cells - 1)[:, None] - torch.arange(cells)).abs()
        weights.append((1 - distance).clamp(min=0).view(7, points, cells).mean(1))
    return weights[1] @ feature @ weights[0].T


def conv(inputs, kernel, stride, *after):
    layer = nn.Conv2d(inputs, C, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(C), *after)


def mlp(inputs):  # 4096 hidden units and 256 outputs in the paper
    layers = nn.Linear(inputs, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 64)
    return nn.Sequential(*layers)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        stages = (3, 7, 4), (C, 3, 2), (C, 3, 2), (C, 3, 2)  # inputs, kernel, stride
        self.backbone = nn.ModuleList(conv(*stage, nn.ReLU()) for stage in stages)
        self.lateral = nn.ModuleList(conv(C, 1, 1) for _ in stages)
        self.fpn = nn.ModuleList(conv(C, 3, 1) for _ in stages)
        fc = nn.Flatten(), nn.Linear(C * 7 * 7, 256), nn.ReLU()
        self.f_H = nn.Sequential(*(conv(C, 3, 1, nn.ReLU()) for _ in range(4)), *fc)
        self.g = mlp(256)

    def forward(self, x, boxes):
        """Eq. 1, h = f^H(RoIAlign(f^I(V), b)): (N, 3, S, S) and (N, K, 4) -> (R, D)."""
        maps = [lat(x := stage(x)) for lat, stage in zip(self.lateral, self.backbone)]
        for i in (2, 1, 0):  # a coarse map is added to the next finer one
            maps[i] += nn.functional.interpolate(maps[i + 1], maps[i].shape[2:])
        pyramid = [fpn(each) for fpn, each in zip(self.fpn, maps)]  # P2 to P5
        rois = [roi_align(pyramid, n, b) for n, each in enumerate(boxes) for b in each]
        return self.f_H(torch.stack(rois))


def soco_loss(online, q, target, views, boxes, valid):
    """L + L~ of views (N, 3, S, S), boxes (N, K, 4) and valid proposals (N, K)."""
    # Eq. 2 and 3. For L~ the views change networks, so that both see all of them.
    h_online = [online(view, box) for view, box in zip(views, boxes)]
    with torch.no_grad():
        h_target = [target(view, box) for view, box in zip(views, boxes)]
        v_target = [target.g(h) for h in h_target]  # Eq. 4, v' = g(h')
    v = [q(online.g(h)) for h in h_online]  # Eq. 4, v = q(g(h))
    # Eq. 5: two pairs of views for L, and the same with the networks exchanged for L~.
    pairs = (0, 1), (0, 2), (1, 0), (2, 0)
    loss = sum(-2 * torch.cosine_similarity(v[a], v_target[b]) for a, b in pairs)
    # Eq. 6, the mean over an image's proposals; and the mean over the images.
    return ((loss.view_as(valid) * valid).sum(1) / valid.sum(1)).mean()


@torch.no_grad()
def update_target(target, online, step, steps):
    """xi <- tau xi + (1 - tau) theta; tau goes from 0.99 to 1 along a cosine."""
    tau = 1 - (1 - 0.99) * (cos(pi * step / steps) + 1) / 2
    for xi, theta in zip(target.parameters(), online.parameters()):
        xi.lerp_(theta, 1 - tau)


if __name__ == '__main__':
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    paths = sorted(Path(__file__).parents[1].glob('demo/images/*.jpg'))
    photos = [(image, propose(image)) for image in map(cv2.imread, map(str, paths))]
    online, q = Network(), mlp(64)
    target, theta = deepcopy(online), [*online.parameters(), *q.parameters()]
    optimizer = torch.optim.SGD(theta, lr=0.1, momentum=0.9, weight_decay=1e-5)
    for step in range(1, STEPS + 1):
        batch = torch.utils.data.default_collate([sample(*p, rng) for p in photos])
        loss = soco_loss(online, q, target, *batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        update_target(target, online, step, STEPS)
        print(f'step {step:2} of {STEPS}: loss {loss.item():6.3f}, in [-8, 8]')
