"""Signals that ask a training to stop, and processes that are gone."""

import logging
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.dist import get_world_size
from mmengine.logging import MMLogger

from soco_mm.errors import SoCoError, Stopped

from .processes import this_process

# Of schedulers before they end a job; Slurm sends SIGUSR1 with --signal=USR1@120.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
# What gloo and NCCL say when another process is gone.
LOST = re.compile(
    r'gloo|NCCL|ncclRemoteError|DistBackend|DistNetwork|DistStore|Broken pipe|'
    r'Connection (closed|reset|refused)|Socket|TCPStore|Timed out waiting',
    re.IGNORECASE,
)


@contextmanager
def signals_noted() -> Iterator[list[signal.Signals]]:
    """Note signals that ask to stop, instead of ending the process.

    Elsewhere than in the main thread Python cannot, and nothing is changed.

    Yields:
        list[signal.Signals]: Those that came so far, in order.
    """
    noted: list[signal.Signals] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {
        each: signal.signal(
            each, lambda number, _: noted.append(signal.Signals(number))
        )
        for each in SIGNALS
    }
    try:
        yield noted
    except Stopped:
        if get_world_size() > 1:
            # A launcher ends all as soon as one has ended. Python's handlers are gone
            # before libraries are torn down; what is ignored stays so, and the exit
            # code is that of a stop.
            before = dict.fromkeys(SIGNALS, signal.SIG_IGN)
        raise
    finally:
        for each, handler in before.items():
            # None is one that was not set from Python, which Python cannot set.
            signal.signal(each, signal.SIG_DFL if handler is None else handler)


@contextmanager
def lost_processes_named() -> Iterator[None]:
    """Say in a sentence that another process of a training is gone.

    The stack trace is in the log file of the training.

    Raises:
        SoCoError: If so.
    """
    try:
        yield
    except RuntimeError as error:
        if get_world_size() == 1 or not LOST.search(f'{type(error).__name__} {error}'):
            raise
        log_to_file('The connection to another process was lost.')
        raise SoCoError(
            f'Another process of the training ended or was killed, so {this_process()} '
            'stops too. Look for the first error above, then continue with --resume.'
        ) from error


def log_to_file(said: str) -> None:
    """Write what went wrong, with its stack trace, to the log file only."""
    log = MMLogger.get_current_instance()
    record = log.makeRecord(
        log.name, logging.ERROR, __file__, 0, said, (), sys.exc_info()
    )
    for each in log.handlers:
        if isinstance(each, logging.FileHandler):
            each.handle(record)
