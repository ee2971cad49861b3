"""How well features tell objects apart: retrieval, effective rank and spread."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def found_again(queries: Tensor, gallery: Tensor, same: Tensor | None = None) -> float:
    """Share of objects whose nearest one in another view is the object itself.

    Near is a large cosine similarity. If all features are equal, only the
    first object is found: 1 / N.

    Args:
        queries (Tensor): Features of N objects in one view, (N, C).
        gallery (Tensor): Those of the same objects in another view, (N, C).
        same (Tensor, optional): Objects of the gallery that do not count as
            others, bool (N, N), see :func:`same_objects`. Defaults to None,
            all count.

    Returns:
        float: From 0 to 1; NaN if there are no objects.

    Example:
        >>> import torch
        >>> first = torch.eye(3)
        >>> found_again(first, first[[0, 2, 1]])
        0.3333333432674408
    """
    similarity = normalize(queries) @ normalize(gallery).T
    if same is not None:
        others = ~torch.eye(len(same), dtype=torch.bool, device=same.device)
        similarity = similarity.masked_fill(same & others, -torch.inf)
    truth = torch.arange(len(queries), device=similarity.device)
    return (similarity.argmax(1) == truth).float().mean().item()


def same_objects(boxes: Tensor, images: Tensor, max_overlap: float = 0.5) -> Tensor:
    """Pairs of boxes that are of the same object: on one image, and overlapping.

    The IoU is MMDetection's to the bit, whose own function copies a number to the
    device, and so waits for it.

    Args:
        boxes (Tensor): x1 y1 x2 y2, (N, 4).
        images (Tensor): The image of each, int64 (N,).
        max_overlap (float): Boxes with a larger IoU are of the same object.
            Defaults to 0.5.

    Returns:
        Tensor: Symmetric, bool (N, N).
    """
    start = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    end = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = (end - start).clamp(min=0).prod(-1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    union = area[:, None] + area[None] - shared
    iou = shared / union.clamp(min=1e-6)
    return (images[:, None] == images[None]) & (iou > max_overlap)


def nearest_class(features: Tensor, labels: Tensor) -> float:
    """How often the nearest other object is of the same class, mean over classes.

    Args:
        features (Tensor): Features of N objects, (N, C).
        labels (Tensor): Their classes, int64 (N,).

    Returns:
        float: From 0 to 1, over the classes with at least two objects; NaN if
        there are none.
    """
    similarity = normalize(features) @ normalize(features).T
    similarity.fill_diagonal_(-torch.inf)
    hit = labels[similarity.argmax(1)] == labels
    classes, numbers = labels.unique(return_counts=True)
    shares = [hit[labels == each].float().mean() for each in classes[numbers > 1]]
    return torch.stack(shares).mean().item() if shares else float('nan')


def nearest_class_by_chance(labels: Tensor) -> float:
    """What :func:`nearest_class` is if any other object is the nearest."""
    _, numbers = labels.unique(return_counts=True)
    numbers = numbers[numbers > 1]
    return ((numbers - 1).float() / max(len(labels) - 1, 1)).mean().item()


def effective_rank(features: Tensor) -> float:
    r"""How many dimensions features fill.

    The exponential of the entropy of the singular values :math:`\sigma_i` of the
    centred features, each divided by their sum, as in `The Effective Rank
    <https://infoscience.epfl.ch/record/110188>`_. It is 1 where all lie on a
    line, and at most ``min(N - 1, C)``.

    Args:
        features (Tensor): Features of N objects, (N, C).

    Returns:
        float: The rank; 0 if all features are equal.

    Example:
        >>> import torch
        >>> round(effective_rank(torch.eye(5)), 4)
        4.0
    """
    features = features.double()
    centred = features - features.mean(0)
    if not centred.norm() > 1e-9 * features.norm():
        return 0.0
    # The squares of the singular values, of the smaller product: a tenth of the time.
    if centred.shape[0] > centred.shape[1]:
        centred = centred.T
    values = torch.linalg.eigvalsh(centred @ centred.T).clamp(min=0).sqrt()
    shares = values / values.sum()
    return torch.special.entr(shares).sum().exp().item()


def relative_spread(features: Tensor) -> float:
    r"""How evenly directions are spread: 1 over the whole sphere, 0 if all are equal.

    The standard deviation of each channel of the L2-normalised features, the
    mean over the channels, divided by :math:`1 / \sqrt{C}`, as in `SimSiam
    <https://arxiv.org/abs/2011.10566>`_ (Section 4.1).

    Args:
        features (Tensor): Features of N objects, (N, C).

    Returns:
        float: From 0 to about 1.

    Example:
        >>> import torch
        >>> round(relative_spread(torch.randn(1000, 64)), 1)
        1.0
        >>> relative_spread(torch.ones(10, 64))
        0.0
    """
    unit = normalize(features.float())
    return (unit.std(0, unbiased=False).mean() * unit.shape[1] ** 0.5).item()


def pair_cosines(first: Tensor, second: Tensor, images: Tensor) -> tuple[float, float]:
    """Cosine similarity of the same objects in two views, and of others.

    Args:
        first (Tensor): Features of N objects in one view, (N, C).
        second (Tensor): Those of the same objects in another, (N, C).
        images (Tensor): The image of each object, int64 (N,).

    Returns:
        tuple[float, float]: The mean over the objects, and over all pairs of
        objects on different images; NaN if there are none.
    """
    cosine = normalize(first.float()) @ normalize(second.float()).T
    others = images[:, None] != images[None]
    return cosine.diagonal().mean().item(), cosine[others].mean().item()
