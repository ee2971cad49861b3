"""A second round: proposals by the RPN of a pretraining."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from soco_mm.checkpoint import read_checkpoint
from soco_mm.checkpoint.config_text import config_text, read_assignment
from soco_mm.checkpoint.pretrained import Pretrained
from soco_mm.datasets.transforms import ConstructViews
from soco_mm.datasets.transforms.finding import find_transform
from soco_mm.datasets.transforms.views import resize
from soco_mm.models.utils.rpn import best_proposals
from soco_mm.registry import PROPOSALS
from soco_mm.utils import SoCoError, UsageError, file_hash


@PROPOSALS.register_module()
class RPNProposals:
    """The best boxes of an RPN that was pretrained on proposals.

    Images are resized to the side of the first view, as in its training. It runs
    on one CPU core of each process, so that the boxes are always the same.

    Args:
        checkpoint (str): A checkpoint of a pretraining whose model has an
            ``rpn_head``.
        hash (str, optional): What :func:`file_hash` must return for it.
            Defaults to None, anything.
        num_boxes (int): How many boxes of each image, at the most. Defaults
            to 100.

    Raises:
        UsageError: If there is no such checkpoint, or it has no RPN.
        SoCoError: If it cannot be read, or has changed.
    """

    def __init__(
        self, checkpoint: str, hash: str | None = None, num_boxes: int = 100
    ) -> None:
        pretrained = Pretrained.read(checkpoint)
        if hash is not None and file_hash(checkpoint) != hash:
            raise SoCoError(
                f'{checkpoint} has changed since the proposals were begun. Make them '
                'again with --overwrite.'
            )
        if not pretrained.model.get('rpn_head'):
            raise UsageError(
                f'The model of {checkpoint} has no RPN. Pretrain one with a recipe '
                'whose model has an rpn_head, or choose another --method.'
            )
        self.size = view_size(checkpoint)
        self.num_boxes = num_boxes
        self.net = pretrained.net

    def __call__(
        self, image: np.ndarray, rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """Propose boxes.

        Args:
            image (np.ndarray): RGB, uint8, (H, W, 3).
            rng (np.random.Generator, optional): Not used.

        Returns:
            np.ndarray: x1 y1 x2 y2 in pixels of the image, float32, (P, 4), the
            best first.
        """
        torch.set_num_threads(1)
        view = torch.from_numpy(resize(image, self.size))[None]
        with torch.inference_mode():
            (view,) = self.net.data_preprocessor(dict(views=[view]))['views']
            (boxes,) = best_proposals(
                self.net.rpn_head,
                self.net.extract_feat([view]),
                (self.size, self.size),
                self.num_boxes,
            )
        scale = np.float32([image.shape[1], image.shape[0]]) / self.size
        return boxes.float().numpy() * np.tile(scale, 2)


def view_size(checkpoint: str | Path) -> int:
    """Side of the first view that a model was trained with, in pixels.

    Args:
        checkpoint (str | Path): A checkpoint of a training.

    Raises:
        SoCoError: If it does not say.
    """
    text = config_text(read_checkpoint(checkpoint))
    loader: Any = read_assignment(text, 'train_dataloader')
    try:
        construct: Any = find_transform(loader['dataset']['pipeline'], ConstructViews)
        return int(construct['views'][0]['size'])
    except (KeyError, IndexError, TypeError, ValueError):
        raise SoCoError(
            f'{checkpoint} does not say how large its views were. Give a checkpoint '
            'of a training (RUN/checkpoints/...), not exported weights.'
        ) from None
