"""One line on a terminal that is redrawn in place."""

import os
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.file_proxy import FileProxy
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text


def clock(seconds: float) -> str:
    """A duration as a person reads it.

    Example:
        >>> from soco_mm.utils.live_line import clock
        >>> clock(9.6), clock(754), clock(7260), clock(200000)
        ('0:10', '12:34', '2:01:00', '2 d 7 h')
    """
    seconds = round(seconds)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    if hours >= 48:
        return f'{hours // 24} d {hours % 24} h'
    if hours:
        return f'{hours}:{minute:02d}:{second:02d}'
    return f'{minute}:{second:02d}'


def longest_that_fits(forms: Sequence[str], width: int) -> str:
    """The first of several wordings that fits, else the last.

    Example:
        >>> from soco_mm.utils.live_line import longest_that_fits
        >>> longest_that_fits(['12.0 images/s', '12/s'], 8)
        '12/s'
    """
    return next((form for form in forms if len(form) <= width), forms[-1])


class LiveLine:
    """A line that stays the last one of a terminal while other lines scroll.

    What is printed meanwhile appears above it. A spinner turns by itself, so
    that a slow step does not look like a program that hangs. Where the output
    is no terminal nothing is drawn.

    Args:
        forms (Sequence[str]): The line in several wordings, the longest
            first; the first that fits the width of the terminal is drawn.
    """

    def __init__(self, forms: Sequence[str]) -> None:
        self.forms = forms
        self.live = None
        self.console = Console()
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self.spinner = Spinner('dots')
            # Twice a second: a spinner that moves costs a redraw, no more.
            self.live = Live(
                get_renderable=self.draw,
                console=self.console,
                refresh_per_second=2,
                transient=True,
            )
            self.live.start()

    @property
    def drawn(self) -> bool:
        """bool: Whether there is a terminal to draw on."""
        return self.live is not None

    def draw(self) -> Table:
        """The line as it is now."""
        text = longest_that_fits(self.forms, self.console.width - 2)
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_row(self.spinner, Text(text, no_wrap=True, overflow='ellipsis'))
        return grid

    def stop(self) -> None:
        """Remove the line from the terminal."""
        if self.live is not None:
            self.live.stop()
            self.live = None


def restore_output() -> None:
    """Let a forked process print by itself.

    The lock of the line may be held by a thread that the fork did not copy,
    so a data loader's worker that prints a warning would wait forever.
    """
    for name in ('stdout', 'stderr'):
        stream = getattr(sys, name)
        if isinstance(stream, FileProxy):
            setattr(sys, name, stream.rich_proxied_file)


os.register_at_fork(after_in_child=restore_output)
