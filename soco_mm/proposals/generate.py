import multiprocessing
import signal
from concurrent.futures import FIRST_COMPLETED, wait
from itertools import islice
from pathlib import Path
from typing import Iterator, Sequence, Union

from pebble import ProcessExpired, ProcessPool

from .store import Proposals, unusable
from .worker import start_worker, work


def generate_proposals(root: Union[str, Path],
                       paths: Sequence[str],
                       settings: dict,
                       num_workers: int = 1) -> Iterator[Proposals]:
    """Make proposals for images, in worker processes.

    An image on which the native code crashes, whose worker is killed (for
    memory), or that takes longer than ``settings['timeout']`` seconds costs
    its image alone, which gets the whole image as its box; if it cannot be
    read within the same limits, it has none.

    Args:
        root (str | Path): The folder of images.
        paths (Sequence[str]): Paths of the images relative to it.
        settings (dict): See :func:`build_settings`.
        num_workers (int): Number of processes. Defaults to 1.

    Yields:
        Proposals: What became of each image, in any order.
    """
    todo = iter(paths)
    pool = ProcessPool(
        num_workers,
        # Forking a process that runs threads can hang the child.
        context=multiprocessing.get_context('spawn'),
        initializer=start_worker,
        initargs=(settings, str(root)))
    timeout = settings['timeout']
    running = {}
    failures = {}
    try:
        while True:
            for path in islice(todo, 4 * num_workers - len(running)):
                future = pool.schedule(work, (path, ), timeout=timeout)
                running[future] = path
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                path = running.pop(future)
                try:
                    result = future.result()
                except (ProcessExpired, TimeoutError) as error:
                    reason = explain(error, timeout)
                    if path in failures:
                        del failures[path]
                        yield unusable(path, f'reading it {reason}')
                        continue
                    failures[path] = reason
                    future = pool.schedule(
                        work, (path, False), timeout=timeout)
                    running[future] = path
                    continue
                reason = failures.pop(path, None)
                if reason and not result.failure:
                    result = result._replace(
                        failure=f'the generator {reason}')
                yield result
    finally:
        pool.stop()
        pool.join()


def explain(error: Exception, timeout: float) -> str:
    """Why a worker ended, in words that follow 'the generator'."""
    if isinstance(error, TimeoutError):
        return f'took longer than {timeout:g} s'
    try:
        name = signal.Signals(-error.exitcode).name
    except (TypeError, ValueError):
        return f'ended its process (exit code {error.exitcode})'
    hint = ', perhaps for memory' if name == 'SIGKILL' else ''
    return f'crashed or was killed ({name}{hint})'
