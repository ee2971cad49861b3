from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.data import DataLoader

from soco_mm.openmmlab import label_of

from .classifier import LinearProbe


@torch.no_grad()
def extract_features(
    model: LinearProbe, loader: DataLoader, progress: Callable[[], None] = lambda: None
) -> tuple[Tensor, Tensor]:
    """L2-normalised pooled features of the last stage, for each image.

    Args:
        model (LinearProbe): The model; its classifier is not used.
        loader (DataLoader): Batches of ``inputs`` and ``data_samples``.
        progress (Callable): Called after each image. Defaults to nothing.

    Returns:
        tuple[Tensor, Tensor]: Features of length 1, float32 (N, C), and
        labels, int64 (N,), both on the model's device.
    """
    model.eval()
    features, labels, done = None, [], 0
    for batch in loader:
        labels += [label_of(sample) for sample in batch['data_samples']]
        batch = model.data_preprocessor(batch)
        (pooled,) = model.extract_feat(batch['inputs'])
        if features is None:
            # Once: a list of them, then joined, would take twice the memory.
            features = pooled.new_empty(
                len(loader.dataset), pooled.shape[1], dtype=torch.float32
            )
        features[done : done + len(pooled)] = normalize(pooled.float())
        done += len(pooled)
        for _ in pooled:
            progress()
    assert features is not None and done == len(features)
    return features, torch.cat(labels).to(features.device)
