"""MMCV's compiled ops, as tools/build_mmcv.py builds them, against formulas."""

import pytest
import torch
from mmcv import ops
from torch.nn import functional


def sample(feature, y, x):
    """Bilinear values of a feature map (C, H, W) at y and x, with zeros around.

    Written with weights for all pixels: the tent function max(0, 1 - distance).
    """
    height, width = feature.shape[1:]
    rows = (1 - (y[..., None] - torch.arange(height)).abs()).clamp(min=0)
    columns = (1 - (x[..., None] - torch.arange(width)).abs()).clamp(min=0)
    return torch.einsum('chw,...h,...w->c...', feature, rows, columns)


def gradients(output, inputs):
    """Gradients of a sum in which every output has its own weight."""
    weights = torch.linspace(-1, 1, output.numel()).reshape(output.shape)
    return torch.autograd.grad((output * weights).sum(), inputs)


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def roi_align_by_formula(features, rois, size, scale, samples):
    """RoIAlign with aligned corners: the mean of samples inside each bin."""
    outputs = []
    steps = (torch.arange(size * samples) + 0.5) / samples
    for index, x1, y1, x2, y2 in rois.tolist():
        x1, y1, x2, y2 = (value * scale - 0.5 for value in (x1, y1, x2, y2))
        y = y1 + steps * (y2 - y1) / size
        x = x1 + steps * (x2 - x1) / size
        y, x = torch.meshgrid(y, x, indexing='ij')
        values = sample(features[int(index)], y, x)
        outputs.append(functional.avg_pool2d(values[None], samples)[0])
    return torch.stack(outputs)


def test_roi_align_is_the_mean_of_bilinear_samples():
    torch.manual_seed(0)
    features = torch.randn(2, 3, 12, 15, requires_grad=True)
    # Inside the image: at its borders RoIAlign clamps.
    rois = torch.tensor([[0, 8, 12, 70, 60.0], [1, 20, 10, 41, 80], [1, 9, 9, 50, 33]])
    actual = ops.RoIAlign(4, 1 / 8, sampling_ratio=2, aligned=True)(features, rois)
    expected = roi_align_by_formula(features, rois, 4, 1 / 8, 2)
    close(actual, expected)
    close(gradients(actual, features)[0], gradients(expected, features)[0])


def test_rotated_roi_align_of_no_angle_is_roi_align():
    torch.manual_seed(0)
    features = torch.randn(1, 3, 12, 15)
    rotated = torch.tensor([[0, 50, 44, 60, 40, 0.0]])  # centre and size
    plain = torch.tensor([[0, 20, 24, 80, 64.0]])
    actual = ops.RoIAlignRotated(4, 1 / 8, sampling_ratio=2, aligned=True)(
        features, rotated
    )
    close(actual, roi_align_by_formula(features, plain, 4, 1 / 8, 2))


def iou_by_formula(boxes, others):
    corner = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    end = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = (end - corner).clamp(min=0).prod(-1)
    area, other_area = (
        (each[:, 2:] - each[:, :2]).prod(-1) for each in (boxes, others)
    )
    return common / (area[:, None] + other_area[None] - common)


@pytest.fixture
def boxes():
    torch.manual_seed(0)
    corner = torch.rand(300, 2) * 100
    return torch.cat([corner, corner + 5 + torch.rand(300, 2) * 60], dim=1)


def test_nms_keeps_the_best_of_overlapping_boxes(boxes):
    scores = torch.rand(len(boxes))
    iou, kept = iou_by_formula(boxes, boxes), []
    for index in scores.argsort(descending=True).tolist():
        if all(iou[index, other] <= 0.4 for other in kept):
            kept.append(index)
    found, indices = ops.nms(boxes, scores, 0.4)
    assert indices.tolist() == kept and 1 < len(kept) < len(boxes)
    close(found, torch.cat([boxes, scores[:, None]], dim=1)[kept])


def test_overlaps_of_straight_and_rotated_boxes_are_the_formula(boxes):
    expected = iou_by_formula(boxes, boxes[:50])
    close(ops.bbox_overlaps(boxes, boxes[:50]), expected)
    turned = torch.cat(
        [
            (boxes[:, :2] + boxes[:, 2:]) / 2,
            boxes[:, 2:] - boxes[:, :2],
            torch.zeros(len(boxes), 1),
        ],
        dim=1,
    )
    close(ops.box_iou_rotated(turned, turned[:50]), expected)


def deform_conv_by_formula(image, offset, weight, mask=None):
    """A 3x3 convolution (padding 1) that reads at moved places."""
    (_, _, height, width), total = image.shape, 0
    rows, columns = torch.meshgrid(
        torch.arange(height), torch.arange(width), indexing='ij'
    )
    for place in range(9):
        y = rows + place // 3 - 1 + offset[:, 2 * place]
        x = columns + place % 3 - 1 + offset[:, 2 * place + 1]
        values = torch.stack([sample(each, y[i], x[i]) for i, each in enumerate(image)])
        if mask is not None:
            values = values * mask[:, place : place + 1]
        kernel = weight[:, :, place // 3, place % 3]
        total = total + torch.einsum('oc,nchw->nohw', kernel, values)
    return total


@pytest.mark.parametrize('modulated', [False, True])
def test_deformable_convolution_reads_at_the_offsets(modulated):
    torch.manual_seed(0)
    image = torch.randn(2, 3, 7, 9, requires_grad=True)
    offset = (2 * torch.randn(2, 18, 7, 9)).requires_grad_()
    weight = torch.randn(4, 3, 3, 3, requires_grad=True)
    inputs = [image, offset, weight]
    if modulated:
        mask = torch.rand(2, 9, 7, 9, requires_grad=True)
        inputs.append(mask)
        actual = ops.modulated_deform_conv2d(
            image, offset, mask, weight, torch.zeros(4), 1, 1, 1, 1, 1
        )
        expected = deform_conv_by_formula(image, offset, weight, mask)
    else:
        actual = ops.deform_conv2d(image, offset, weight, 1, 1, 1, 1, 1)
        expected = deform_conv_by_formula(image, offset, weight)
    close(actual, expected)
    for found, wanted in zip(gradients(actual, inputs), gradients(expected, inputs)):
        close(found, wanted)


def test_rotated_feature_align_adds_the_feature_at_the_centre():
    torch.manual_seed(0)
    features = torch.randn(1, 3, 6, 6)
    places = torch.randint(0, 6, (6, 6))
    boxes = torch.zeros(1, 6, 6, 5)
    boxes[0, ..., 0] = boxes[0, ..., 1] = places * 8.0
    boxes[..., 2:4] = 8
    actual = ops.rotated_feature_align(features, boxes, 1 / 8, 1)
    close(actual, features + features[:, :, places, places])


def test_psamask_moves_each_mask_to_its_place():
    torch.manual_seed(0)
    masks = torch.randn(1, 9, 4, 5)  # a 3x3 mask for each place
    expected = torch.zeros(1, 20, 4, 5)
    for row in range(4):
        for column in range(5):
            for place in range(9):
                y, x = row + place // 3 - 1, column + place % 3 - 1
                if 0 <= y < 4 and 0 <= x < 5:
                    expected[0, y * 5 + x, row, column] = masks[0, place, row, column]
    close(ops.PSAMask('collect', (3, 3))(masks), expected)
