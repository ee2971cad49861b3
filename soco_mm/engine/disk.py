"""A disk that becomes full, or cannot be written, while a training runs."""

import logging
import shutil
from pathlib import Path

from mmengine.logging import MMLogger

from soco_mm.log import logger
from soco_mm.utils import SoCoError

from .quiet_log import tell

# So many checkpoints in a row that cannot be written stop a training.
MOST_FAILURES = 2


class NotWritten(OSError):
    """A checkpoint that could not be written.

    Args:
        path (str | Path): The file.
        needed (int): Its size in bytes.
        error (OSError): Why.
    """

    def __init__(self, path: str | Path, needed: int, error: OSError) -> None:
        free = shutil.disk_usage(Path(path).parent).free
        super().__init__(
            f'The checkpoint {path} could not be written ({error.strerror}): it takes '
            f'{in_megabytes(needed)}, and {in_megabytes(free)} are free there'
        )


def in_megabytes(size: int) -> str:
    """A number of bytes in words.

    Example:
        >>> from soco_mm.engine.disk import in_megabytes
        >>> in_megabytes(312_400_000), in_megabytes(96_000)
        ('312.4 MB', '0.1 MB')
    """
    return f'{size / 1e6:.1f} MB'


def report_unwritten(said: str, kept: Path | None, fatal: bool) -> None:
    """Say that a checkpoint could not be written.

    Args:
        said (str): What went wrong, without a full stop.
        kept (Path, optional): The checkpoint before it.
        fatal (bool): Whether the training cannot go on.

    Raises:
        SoCoError: If so.
    """
    before = f'{kept} is kept' if kept else 'there is none before it'
    if fatal:
        again = '--resume' if kept else 'the same command'
        raise SoCoError(
            f'{said}; {before}. The training is stopped. Free some space, then '
            f'continue with {again}.'
        )
    tell(
        f'{said}; {before}. The training goes on; free some space before the next '
        'checkpoint.',
        logging.WARNING,
    )


def keep_logging(log: MMLogger) -> None:
    """Let a training outlive a log file that cannot be written.

    Python would print a stack trace for every record; here the first is said in
    a sentence.

    Args:
        log (MMLogger): The log of a training.
    """
    for each in log.handlers:
        if isinstance(each, logging.FileHandler):
            vars(each)['handleError'] = SayOnce(each.baseFilename)


class SayOnce:
    """Say once on the console that a file cannot be written.

    Args:
        path (str): The file.
    """

    def __init__(self, path: str) -> None:
        self.path, self.said = path, False

    def __call__(self, *_) -> None:
        """Say it, if it was not."""
        if not self.said:
            self.said = True
            logger.warning(
                f'WARNING: {self.path} cannot be written, so lines are missing there. '
                'Is the disk full?'
            )
