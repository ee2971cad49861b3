"""Run tasks in processes of one thread, each after the one it needs."""

import contextlib
import multiprocessing
import os
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch

from soco_mm.utils import SoCoError


class Task(NamedTuple):
    """A call in a process.

    Attributes:
        name (str): Its name, and that of its log.
        data (str): The data set it is of.
        function (str): Module and function of this package.
        arguments (tuple): What it is called with.
        after (str, optional): The task that must be done before.
    """

    name: str
    data: str
    function: str
    arguments: tuple
    after: str | None = None


def run_tasks(
    tasks: Sequence[Task], logs: Path, jobs: int
) -> Iterator[tuple[Task, Any, str | None]]:
    """Run tasks in order.

    Args:
        tasks (Sequence[Task]): The tasks.
        logs (Path): The folder of their logs.
        jobs (int): Number of processes.

    Yields:
        tuple: A task that has ended, its result, and what went wrong or None.
        What would come after a failed one is not run.

    Raises:
        SoCoError: If a process is killed. What runs is stopped then, and where the
            caller stops.
    """
    left, done, failed = list(tasks), set(), set()
    running: dict[Future, Task] = {}
    # Spawned: a process that has used OpenMP cannot be forked safely.
    with ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context('spawn'),
        initializer=prepare_process,
        initargs=(os.getpid(),),
    ) as pool:
        try:
            while left or running:
                left = [task for task in left if task.after not in failed]
                ready = [task for task in left if task.after in (None, *done)]
                for task in ready[: jobs - len(running)]:
                    left.remove(task)
                    log = logs / f'{task.name}.log'
                    future = pool.submit(logged, task.function, log, task.arguments)
                    running[future] = task
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    task, error = running.pop(future), future.exception()
                    if isinstance(error, BrokenProcessPool):  # so are all others
                        raise SoCoError(
                            f'A process was killed, in {task.name} or beside it; the '
                            'memory may be full. Call it again to go on, with fewer '
                            '--jobs.'
                        )
                    (failed if error else done).add(task.name)
                    yield task, error or future.result(), error and str(error)
        except BaseException:  # the pool would wait for what runs, minutes
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def prepare_process(parent: int) -> None:
    """One thread a process, which ends when the study is killed."""
    torch.set_num_threads(1)

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def logged(name: str, log: Path, arguments: tuple) -> Any:
    """Call a function; what it prints goes to a file.

    Raises:
        RuntimeError: If it fails, with the last line of the error alone.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    module, _, function = name.rpartition('.')
    call = getattr(import_module(f'.{module}', __package__), function)
    with log.open('a') as stream:
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            try:
                return call(*arguments)
            except Exception as error:
                traceback.print_exc()
                raise RuntimeError(f'{error} (see {log}).') from None
