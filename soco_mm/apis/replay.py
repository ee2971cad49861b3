"""A step of a training again, to see where it stops being finite."""

from pathlib import Path

from soco_mm.log import logger
from soco_mm.runs.replay import Replay, repeat_step


def replay(file: str | Path) -> Replay:
    """Repeat a training step whose loss or weights were not finite.

    A training that is stopped by NaN or infinity writes the step in which they
    first appeared: its weights, images and random numbers.

    Args:
        file (str | Path): What it wrote, ``RUN/not_finite/iter_N.pth``.

    Returns:
        Replay: Where there were values that are not finite, in order.

    Raises:
        UsageError: If there is no such file.
        SoCoError: If it is not of a step, or its model cannot be built.
    """
    found = repeat_step(file)
    logger.info(found.describe())
    return found
