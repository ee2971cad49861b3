import multiprocessing
import os
import threading
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import Callable, Iterator, NamedTuple, Optional, Sequence, Union

import numpy as np

from soco_mm.registry import PROPOSALS
from soco_mm.utils import ImageError, check_image
from .filters import STATUS, ProposalFilter

# The paper's parameters (3.2, A.1), and those of the released code.
PRESETS = dict(
    paper=dict(
        generator=dict(
            type='SelectiveSearch', scale=500, sigma=0.9, min_size=10),
        filter=dict(max_aspect=3, size_range=(0.3, 0.8), min_side=0)),
    released=dict(
        generator=dict(
            type='SelectiveSearch', scale=300, sigma=0.9, min_size=100),
        filter=dict(max_aspect=3, size_range=(0.3, 0.8), min_side=32)))


class Proposals(NamedTuple):
    """What became of one image.

    Attributes:
        path (str): Its path relative to the folder of images.
        boxes (np.ndarray): x1 y1 x2 y2 in pixels, float32, (P, 4).
        size (tuple): Width and height in pixels.
        status (int): Index in :data:`STATUS`.
        failure (str, optional): Why it failed. An image that cannot be read
            has no boxes; one on which the generator failed has the whole
            image.
    """
    path: str
    boxes: np.ndarray
    size: tuple
    status: int
    failure: Optional[str] = None


_worker: Callable = None


def _start_worker(generator: dict, box_filter: dict, root: str) -> None:
    """Prepare a worker process."""
    # A worker whose parent was killed would wait for work for ever.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import cv2
    cv2.setNumThreads(1)
    try:
        cv2.setLogLevel(0)  # bad images are reported with their names
    except AttributeError:
        pass
    generate = PROPOSALS.build(generator)
    keep = ProposalFilter(**box_filter)

    def work(path: str, use_generator: bool = True) -> Proposals:
        try:
            image = check_image(Path(root, path))
        except ImageError as error:
            return Proposals(path, np.zeros((0, 4), np.float32), (0, 0),
                             STATUS.index('whole_image'), str(error))
        height, width = image.shape[:2]
        boxes, failure = np.zeros((0, 4), np.float32), None
        if use_generator:
            try:
                boxes = generate(image)
            except Exception as error:  # it costs its image alone
                failure = f'the generator failed ({error})'
        boxes, status = keep(boxes, width, height)
        return Proposals(path, boxes, (width, height), status, failure)

    global _worker
    _worker = work


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _work(path: str, use_generator: bool = True) -> Proposals:
    return _worker(path, use_generator)


def generate_proposals(root: Union[str, Path],
                       paths: Sequence[str],
                       generator: dict,
                       filter: dict,
                       num_workers: int = 1) -> Iterator[Proposals]:
    """Make proposals for images, in worker processes.

    A crash of the native code costs its image alone, which gets the whole
    image as its box.

    Args:
        root (str | Path): The folder of images.
        paths (Sequence[str]): Paths of the images relative to it.
        generator (dict): Config of the generator, of the registry
            ``PROPOSALS``.
        filter (dict): Arguments of :class:`ProposalFilter`.
        num_workers (int): Number of processes. Defaults to 1.

    Yields:
        Proposals: What became of each image, in any order.
    """

    def pool(workers: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            workers,
            # Forking a process that runs threads can hang the child.
            multiprocessing.get_context('spawn'),
            _start_worker,
            (generator, filter, str(root)))

    todo = iter(paths)
    executor = pool(num_workers)
    running = {}
    try:
        while True:
            waiting = list(islice(todo, 4 * num_workers - len(running)))
            try:
                while waiting:
                    running[executor.submit(_work, waiting[-1])] = waiting[-1]
                    waiting.pop()
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    result = future.result()
                    del running[future]
                    yield result
            except BrokenProcessPool:
                # A worker died. Which image it was on is not known: try those
                # in flight one by one, each in a pool that may break.
                executor.shutdown(cancel_futures=True)
                suspects, running = waiting + list(running.values()), {}
                for path in suspects:
                    yield _try_alone(pool, path)
                executor = pool(num_workers)
    finally:
        executor.shutdown(cancel_futures=True)


def _try_alone(pool: Callable, path: str) -> Proposals:
    """Make the proposals of one image that may crash its process."""
    with pool(1) as executor:
        try:
            return executor.submit(_work, path).result()
        except BrokenProcessPool:
            pass
    with pool(1) as executor:
        try:
            result = executor.submit(_work, path, False).result()
            return result._replace(failure='the generator crashed')
        except BrokenProcessPool:
            return Proposals(path, np.zeros((0, 4), np.float32), (0, 0),
                             STATUS.index('whole_image'),
                             'reading it crashed the process')
