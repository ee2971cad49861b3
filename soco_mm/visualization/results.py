"""The result of a job, as a notebook shows it."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from markupsafe import Markup

from .pages import render

WIDTH = 960  # of a picture, at the most, in pixels
JPEG_QUALITY = 80


def render_result(
    title: str, values: dict[str, object], pictures: Sequence[Path] = ()
) -> Markup:
    """Show pictures, and a table of names and values below them.

    Args:
        title (str): One line above.
        values (dict): What was made, mostly paths, by name; a dash
            stands for None.
        pictures (Sequence[Path]): Image files; missing ones are left out.
            Defaults to none.

    Returns:
        Markup: A part of an HTML page that needs no other file.

    Example:
        >>> '>a &lt; b</td>' in render_result('Result', dict(weights='a < b'))
        True
    """
    return render(
        'result.html.j2',
        title=title,
        values={
            name: None if value is None else str(value)
            for name, value in values.items()
        },
        pictures=[
            (path.name, jpeg)
            for path in map(Path, pictures)
            if (jpeg := _read_jpeg(path))
        ],
    )


def _read_jpeg(path: Path) -> bytes:
    """An image file as a JPEG that is not too wide, empty if it is missing."""
    # OpenCV would crash on a path that is not UTF-8.
    data = np.fromfile(path, np.uint8) if path.is_file() else np.empty(0, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        return b''
    factor = WIDTH / image.shape[1]
    if factor < 1:
        size = WIDTH, max(1, round(image.shape[0] * factor))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return jpeg.tobytes()
