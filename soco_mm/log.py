"""Console output of the jobs."""

import logging

logger = logging.getLogger('soco_mm')


class ConsoleHandler(logging.Handler):
    """Print records to the current standard output."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one."""
        text = self.format(record)  # may name files that are not UTF-8
        print(text.encode(errors='backslashreplace').decode(), flush=True)


def log_to_console() -> None:
    """Print the log of the jobs on the console, as the commands do.

    Programs that call :mod:`soco_mm.apis` can instead configure the logger
    ``soco_mm`` themselves.

    Example:
        >>> from soco_mm.log import log_to_console, logger
        >>> log_to_console()
        >>> logger.info('5 images')
        5 images
    """
    if not any(isinstance(each, ConsoleHandler) for each in logger.handlers):
        logger.addHandler(ConsoleHandler())
    logger.setLevel(logging.INFO)
    logger.propagate = False
