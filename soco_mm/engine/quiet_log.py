"""Which parts of MMEngine's log a user sees; the log file has all of it.

The jobs of :mod:`soco_mm.apis` show a line of progress and what a user can act
on. ``tools/train.py`` shows MMEngine's log, as users of OpenMMLab expect.
"""

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.dist import is_main_process
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from soco_mm.log import logger

# Warnings of MMEngine's log that a user can do nothing about, by their start.
# A warning that is not listed here stays visible.
KNOWN_WARNINGS = (
    # MMEngine's own hooks use it.
    '"FileClient" will be deprecated in future',
    '"HardDiskBackend" is the alias of "LocalBackend"',
    # Early, a detector finds nothing; the console says so.
    'The testing results of the whole dataset is empty.',
    'Since `metrics` is an empty dict, the behavior to save the best checkpoint',
)
# Of each frozen tensor, at the end of its warning.
FROZEN = 'is skipped since its requires_grad=False'
# Modules that print what belongs in a log.
PRINTING = (
    # print_log without a logger: where weights were loaded from, and which
    # tensors they leave out, which the report of an export says better.
    'mmengine.logging.logger',
    # "creating index..." and the like, at each evaluation.
    'pycocotools.coco',
    'pycocotools.cocoeval',
)


class ForUsers(logging.Handler):
    """Pass warnings, and what :func:`tell` says, on to the logger ``soco_mm``.

    The rest of MMEngine's log is only in its file.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one on, if it is for a user."""
        message = record.getMessage()
        if record.levelno >= logging.WARNING:
            known = message.startswith(KNOWN_WARNINGS) or message.endswith(FROZEN)
            if not known:
                logger.log(record.levelno, f'{record.levelname}: {message}')
        elif getattr(record, 'for_users', False):
            logger.info(message)


def tell(note: str, level: int = logging.INFO) -> None:
    """Write something for a user to MMEngine's current log.

    It is shown on the console too, by whatever shows the log there.

    Args:
        note (str): What to say.
        level (int): Its level. Defaults to ``logging.INFO``.
    """
    MMLogger.get_current_instance().log(level, note, extra=dict(for_users=True))


def quieten(log: MMLogger) -> None:
    """Remove a log from the console; warnings and what :func:`tell` says stay."""
    # A file handler is a stream handler as well.
    log.handlers = [
        each for each in log.handlers if isinstance(each, logging.FileHandler)
    ]
    # As MMEngine: of other processes than the first only errors are shown.
    log.handlers.append(ForUsers(logging.INFO if is_main_process() else logging.ERROR))


class QuietRunner(Runner):
    """A Runner whose log goes to its file, see :class:`ForUsers`."""

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """Build the logger; the next thing logged is the environment."""
        log = super().build_logger(*args, **kwargs)
        quieten(log)
        return log


@contextmanager
def prints_to_log() -> Iterator[None]:
    """Send what :data:`PRINTING` prints to MMEngine's current log."""

    def write(*parts) -> None:
        if text := ' '.join(map(str, parts)).strip():
            MMLogger.get_current_instance().info(text)

    modules = [importlib.import_module(name) for name in PRINTING]
    for module in modules:
        vars(module)['print'] = write  # hides the built-in one, in this module
    try:
        yield
    finally:
        for module in modules:
            vars(module).pop('print', None)
