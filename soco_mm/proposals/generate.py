import multiprocessing
import signal
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

from soco_mm.utils import SoCoError

from .layout import Proposals, unusable
from .worker import serve

# Forking a process that runs threads can hang the child.
_SPAWN = multiprocessing.get_context('spawn')
# Seconds between two looks at the clock, and more than which a look is late: this
# process, and with it probably the workers, was suspended.
LOOK, SUSPENDED = 1.0, 5.0
# Processes that end one after another before they are ready.
MAX_FALSE_STARTS = 10


class _ImageTask(NamedTuple):
    """An image to work on, and why the first try failed, if it did."""

    path: str
    failure: str | None = None


class _Process:
    """A worker process, with a pipe of its own and one image at a time.

    Whatever happens to a worker thus affects only the image it works on.
    """

    def __init__(self, settings: dict, root: str) -> None:
        self.pipe, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(
            target=serve, args=(theirs, settings, root), daemon=True
        )
        self.process.start()
        theirs.close()
        self.ready = False
        self.task: _ImageTask | None = None
        self.deadline = float('inf')

    def give(self, task: _ImageTask, timeout: float) -> None:
        self.task = task
        self.deadline = time.monotonic() + timeout
        try:
            self.pipe.send((task.path, task.failure is None))
        except OSError:
            pass  # it has ended, as the next read shows

    def take(self) -> Proposals | None:
        """The result that it has sent, None if it says that it is ready.

        Raises:
            EOFError: If it has ended.
        """
        try:
            result = self.pipe.recv()
        except OSError:
            raise EOFError from None
        self.ready = True
        self.task, self.deadline = None, float('inf')
        return result

    def end(self, timeout: float) -> str:
        """End it; returns why it has ended, as words after 'the generator'."""
        late = time.monotonic() >= self.deadline
        if late:
            self.process.kill()
        self.pipe.close()  # which ends one that waits for work
        self.process.join(5)
        self.process.kill()
        self.process.join()
        if late:
            return f'took longer than {timeout:g} s'
        return explain_exit(self.process.exitcode)


def generate_proposals(
    root: str | Path, paths: Sequence[str], settings: dict, num_workers: int = 1
) -> Iterator[Proposals]:
    """Make proposals for images, in worker processes.

    An image on which the native code crashes, whose worker is killed (for
    memory), or that takes longer than ``settings['timeout']`` seconds affects
    no other: it gets the whole image as its box; if it cannot be read within
    the same limits, it has none.

    Args:
        root (str | Path): The folder of images.
        paths (Sequence[str]): Paths of the images relative to it.
        settings (dict): See :func:`build_settings`.
        num_workers (int): Number of processes. Defaults to 1.

    Yields:
        Proposals: What became of each image, in any order.

    Raises:
        SoCoError: If worker processes cannot be started.
    """
    timeout = settings['timeout']
    todo = map(_ImageTask, paths)
    # No more workers than images.
    again = [task for _, task in zip(range(num_workers), todo)]
    workers, idle = [], []
    false_starts = 0
    try:
        workers += [_Process(settings, str(root)) for _ in again]
        while workers:
            pipes: dict[Any, _Process] = {worker.pipe: worker for worker in workers}
            began = time.monotonic()
            soonest = min(worker.deadline for worker in workers)
            look = min(LOOK, max(0, soonest - began))
            ready = [pipes[pipe] for pipe in wait(pipes, look)]
            now = time.monotonic()
            if (lost := now - began - look) > SUSPENDED:
                for worker in workers:
                    worker.deadline += lost
            late = [
                worker
                for worker in workers
                if worker not in ready and now >= worker.deadline
            ]
            for worker in ready + late:
                task = worker.task
                try:
                    result = worker.take() if worker in ready else None
                    ended = worker in late
                    false_starts = 0
                except EOFError:
                    result, ended = None, True
                if result is not None:
                    if task.failure and not result.failure:
                        result = result._replace(
                            failure=f'the generator {task.failure}'
                        )
                    yield result
                if ended:
                    false_starts += not worker.ready
                    workers.remove(worker)
                    reason = worker.end(timeout)
                    if false_starts >= MAX_FALSE_STARTS:
                        raise SoCoError(
                            'Worker processes end before they start (one '
                            f'{reason}). A script that makes proposals needs: '
                            "if __name__ == '__main__'."
                        )
                    if task is not None and task.failure:
                        yield unusable(task.path, f'reading it {reason}')
                    elif task is not None:
                        again.append(task._replace(failure=reason))
                    workers.append(_Process(settings, str(root)))
                elif task := again.pop() if again else next(todo, None):
                    worker.give(task, timeout)
                else:
                    workers.remove(worker)
                    idle.append(worker)
    finally:
        # Waiting until a process ends by itself would take longer.
        for worker in workers + idle:
            worker.process.kill()
        for worker in workers + idle:
            worker.end(timeout)


def explain_exit(exitcode: int) -> str:
    """Why a worker ended, in words that follow 'the generator'."""
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        return f'ended its process (exit code {exitcode})'
    hint = ', perhaps for memory' if name == 'SIGKILL' else ''
    return f'crashed or was killed ({name}{hint})'
