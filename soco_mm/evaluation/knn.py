import torch
from torch import Tensor

# Similarities that are held in memory at once: 0.25 GiB.
MAX_SIMILARITIES = 2**26
TEMPERATURE = 0.07


@torch.no_grad()
def knn_scores(
    train: Tensor,
    labels: Tensor,
    val: Tensor,
    num_classes: int,
    k: int = 20,
    temperature: float = TEMPERATURE,
) -> Tensor:
    r"""Let the k nearest training images of each image vote for its class.

    Neighbours are near if their cosine similarity s is large; a neighbour's vote
    has the weight :math:`\exp(s / T)`, as in `Unsupervised Feature Learning via
    Non-Parametric Instance Discrimination
    <https://arxiv.org/abs/1805.01978>`_.

    Args:
        train (Tensor): L2-normalised features of the training images,
            (N, C).
        labels (Tensor): Their classes, int64 (N,).
        val (Tensor): Those of the images to classify, (M, C).
        num_classes (int): Number of classes.
        k (int): How many neighbours vote, at most N. Defaults to 20.
        temperature (float): The T of the weights. Defaults to 0.07.

    Returns:
        Tensor: Sum of the votes for each class, (M, num_classes); 0 where no
        neighbour is of the class.
    """
    scores = []
    for chunk in val.split(max(1, MAX_SIMILARITIES // len(train))):
        similarity, nearest = (chunk @ train.T).topk(k)
        votes = (similarity / temperature).exp()
        empty = votes.new_zeros(len(chunk), num_classes)
        scores.append(empty.scatter_add_(1, labels[nearest], votes))
    return torch.cat(scores)
