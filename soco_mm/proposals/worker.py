import multiprocessing
import os
import signal
import threading
import time
import zlib
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from soco_mm.registry import PROPOSALS
from soco_mm.utils import ImageError, read_intact_image

from .filters import ProposalFilter
from .layout import Proposals, encode_path, unusable


class Worker:
    """Makes the proposals of one image at a time.

    The result depends only on the settings, the path and the image.

    Args:
        settings (dict): See :func:`build_settings`.
        root (str): The folder of images.
    """

    def __init__(self, settings: dict, root: str) -> None:
        self.generator = PROPOSALS.build(dict(settings['generator']))
        self.filter = settings['filter'] and ProposalFilter(**settings['filter'])
        self.max_boxes = settings['max_boxes']
        self.max_pixels = settings['max_pixels']
        self.stretch = settings.get('stretch')
        self.seed = settings['seed']
        self.root = root

    def __call__(self, path: str, use_generator: bool = True) -> Proposals:
        """Make the proposals of an image.

        Args:
            path (str): Its path relative to the folder.
            use_generator (bool): False for one on which the generator fails:
                it gets the whole image. Defaults to True.

        Returns:
            Proposals: What became of it.
        """
        started = time.process_time()
        result = self._work(path, use_generator)
        return result._replace(seconds=time.process_time() - started)

    def _work(self, path: str, use_generator: bool) -> Proposals:
        try:
            image = read_intact_image(
                Path(self.root, path), self.max_pixels, self.stretch
            )
        except ImageError as error:
            return unusable(path, str(error))
        except Exception as error:  # only this image is lost
            return unusable(path, f'cannot be read ({error})')
        height, width = image.shape[:2]
        rng = np.random.default_rng([self.seed, zlib.crc32(encode_path(path))])
        boxes, failure = np.zeros((0, 4), np.float32), None
        if use_generator:
            try:
                boxes = clean_boxes(self.generator(image, rng), width, height)
            except (Exception, SystemExit) as error:
                failure = f'the generator failed ({error})'
        found = None
        if self.filter is not None:
            found = self.filter.count(boxes, width, height)
        boxes, status = (self.filter or ProposalFilter.keep_all)(boxes, width, height)
        if self.max_boxes is not None and len(boxes) > self.max_boxes:
            kept = rng.choice(len(boxes), self.max_boxes, replace=False)
            boxes = boxes[np.sort(kept)]
        return Proposals(path, boxes, (width, height), status, failure, found=found)


def clean_boxes(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """The boxes of a generator, clipped to the image, without empty ones,
    float32, (P, 4).

    Raises:
        ValueError: If they are not finite numbers of shape (P, 4).
    """
    boxes = np.asarray(boxes, np.float32)
    if boxes.size == 0:
        return np.zeros((0, 4), np.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ValueError(
            f'it returned {boxes.shape}, not finite numbers of shape (P, 4)'
        )
    boxes = boxes.clip(0, np.float32([width, height, width, height]))
    return boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]


def serve(pipe: Connection, settings: dict, root: str) -> None:
    """Run a worker process.

    Sends None once it is ready, then takes pairs of a path and
    ``use_generator`` and sends what became of each, until the pipe closes.

    Args:
        pipe (Connection): The pipe to the parent.
        settings (dict): See :func:`build_settings`.
        root (str): The folder of images.
    """
    # An interrupt is for the parent, which ends its workers. A worker that is
    # busy when its parent is killed would not notice the closed pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import cv2

    cv2.setNumThreads(1)
    try:
        cv2.setLogLevel(0)  # bad images are reported with their names
    except AttributeError:
        pass
    worker = Worker(settings, root)
    pipe.send(None)
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        pipe.send(worker(*task))


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
