"""The batches of an epoch, whatever happens to the processes that load them."""

import logging
import re
import signal
import threading
from collections.abc import Iterator
from multiprocessing.connection import wait

from mmengine.logging import print_log
from torch.utils.data import DataLoader

from soco_mm.errors import SoCoError

from .sampler import has_parts, part_of_epoch

# So often processes that load images may be killed within so many batches.
MOST_KILLED, WITHIN = 3, 100
KILLED = re.compile(r'DataLoader worker \(pid')


class Batches:
    """Load the batches of an epoch, again from where processes were killed.

    A sample depends on nothing but its index, so that a loader that is started
    again goes on with the same batches.

    Args:
        loader (DataLoader): The data loader.
    """

    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader
        self.killed: list[int] = []
        self.loaded = 0

    def of_epoch(self, first: int, last: int) -> Iterator:
        """Load some batches of the current epoch.

        Args:
            first (int): Number of the first batch, from 0.
            last (int): Number after the last batch.

        Yields:
            The batches.

        Raises:
            SoCoError: If processes are killed again and again, or what one of
                them raised.
        """
        while True:
            with part_of_epoch(self.loader, first, last) as loader:
                batches = self._start(loader)
                try:
                    for batch in batches:
                        self.loaded += 1
                        first += 1
                        yield batch
                    return
                except SoCoError as error:
                    raise in_a_sentence(error) from error
                except (RuntimeError, OSError, EOFError) as error:
                    # What a process had ready is gone with it.
                    killed = KILLED.search(str(error)) or is_one_dead(batches)
                    # Batches of other samplers cannot be skipped.
                    if not killed or not has_parts(loader):
                        raise
                    self._note(error)
            stop_workers(self.loader, batches)

    @staticmethod
    def _start(loader: DataLoader) -> Iterator:
        """Start to load, so that the end of a process shows where one is awaited.

        PyTorch would raise in the middle of whatever the main thread does.
        """
        batches = iter(loader)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        return batches

    def _note(self, error: Exception) -> None:
        """Say that processes were killed.

        Raises:
            SoCoError: If that happens too often.
        """
        self.killed = [each for each in self.killed if self.loaded - each < WITHIN]
        self.killed.append(self.loaded)
        said = ' '.join(str(error).split()) or type(error).__name__
        if len(self.killed) > MOST_KILLED:
            raise SoCoError(
                f'Workers of the data loader were killed {len(self.killed)} times '
                f'within {WITHIN} batches ({said}). Memory may be short: continue with '
                '--resume and fewer --workers (train_dataloader.num_workers).'
            ) from error
        print_log(
            f'A worker of the data loader was killed ({said}). The loader starts again '
            'with the same batch.',
            logger='current',
            level=logging.WARNING,
        )


def is_one_dead(batches: Iterator) -> bool:
    """Whether a process that loads these batches ends within a few seconds.

    Its connections are closed before it can be seen that it was killed.
    """
    workers = getattr(batches, '_workers', ())
    return bool(workers and wait([each.sentinel for each in workers], timeout=5))


def stop_workers(loader: DataLoader, batches: Iterator) -> None:
    """End the processes of a loader, so that it starts new ones."""
    batches._shutdown_workers()  # type: ignore[attr-defined]
    loader._iterator = None


def in_a_sentence(error: SoCoError) -> SoCoError:
    """An error of a process that loads images, without its stack trace."""
    name = type(error).__name__
    said = re.split(rf'^[\w.]*{name}: ', str(error), flags=re.MULTILINE)[-1].strip()
    return type(error)(said)
