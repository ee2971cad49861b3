import sys
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)


class ImageProgress:
    """A progress bar on a terminal, and a line from time to time elsewhere.

    Use it in a ``with`` statement.

    Args:
        title (str): What is being made.
        total (int): How many there are.
        done (int): How many were done before; they do not count for the rate.
            Defaults to 0.
        failed (int): How many of these failed. Defaults to 0.
        plain (bool): Write lines on a terminal too. Defaults to False.
        samples (str): What is counted. Defaults to images.
    """

    def __init__(
        self,
        title: str,
        total: int,
        done: int = 0,
        failed: int = 0,
        plain: bool = False,
        samples: str = 'images',
    ) -> None:
        self.title = title
        self.samples = samples
        self.total = total
        self.before = self.done = done
        self.failed = failed
        self.started = self.shown = time.time()
        self.bar = None
        if sys.stderr.isatty() and not plain:
            self.bar = Progress(
                TextColumn(title),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn(
                    f'{{task.fields[rate]:.1f}} {samples}/s, '
                    '{task.fields[failed]} failed,'
                ),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self.task = self.bar.add_task(
                '', total=total, completed=done, rate=0.0, failed=failed
            )

    def __enter__(self) -> 'ImageProgress':
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *error) -> None:
        if self.bar:
            self.bar.stop()

    def advance(self, failed: bool = False) -> None:
        """Count one."""
        self.done += 1
        self.failed += failed
        now = time.time()
        rate = (self.done - self.before) / max(now - self.started, 1e-6)
        if self.bar:
            self.bar.update(
                self.task, completed=self.done, rate=rate, failed=self.failed
            )
        elif now - self.shown > 10 or self.done == self.total:
            self.shown = now
            print(
                f'{self.title}: {self.done}/{self.total} {self.samples}, '
                f'{rate:.1f} {self.samples}/s, {self.failed} failed, '
                f'{(self.total - self.done) / rate:.0f} s left',
                file=sys.stderr,
                flush=True,
            )
