"""How a TIFF stores its pixels, of which OpenCV misreads some kinds silently."""

import io
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from multiprocessing.pool import ThreadPool
from typing import BinaryIO, NamedTuple

from PIL import TiffImagePlugin

MAGIC = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
BIG = 43  # the version of a BigTIFF, whose head is longer
# Numbers of tags.
WIDTH, BITS, PHOTOMETRIC, SAMPLES, PLANAR = 256, 258, 262, 277, 284
EXTRA, FORMAT = 338, 339
WHITE_IS_ZERO, BLACK_IS_ZERO, CMYK = 0, 1, 5
UNASSOCIATED_ALPHA = 2
SIGNED = 2
OPENCV_BANDS = 4  # it reads no TIFF of more
# That read heads of files: most of the time goes into waiting for storage.
THREADS = 8


class TiffLayout(NamedTuple):
    """How the pixels of a TIFF are stored.

    Attributes:
        bands (int): Channels of a pixel, with those beyond its colours.
        bits (int): Of a channel.
        photometric (int): What its first bands are, as the standard numbers it.
        planar (bool): Whether its bands are stored one after the other.
        signed (bool): Whether its pixels are signed integers.
        alpha (bool): Whether a band is marked as alpha that the colours are yet to
            be multiplied by.
    """

    bands: int
    bits: int
    photometric: int
    planar: bool
    signed: bool
    alpha: bool

    @classmethod
    def of(cls, tags: Mapping) -> 'TiffLayout':
        """The layout that the tags of a file, by number, say."""

        def first(tag: int, default: int) -> int:
            value = tags.get(tag, default)
            return int(value[0] if isinstance(value, tuple) else value)

        return cls(
            first(SAMPLES, 1),
            first(BITS, 1),
            first(PHOTOMETRIC, BLACK_IS_ZERO),
            first(PLANAR, 1) == 2,
            first(FORMAT, 1) == SIGNED,
            first(EXTRA, 0) == UNASSOCIATED_ALPHA,
        )

    @property
    def grey(self) -> bool:
        """bool: Whether it says that its first band is a grey image."""
        return self.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO)

    @property
    def opencv(self) -> bool:
        """bool: Whether OpenCV decodes it at all."""
        deep_cmyk = self.photometric == CMYK and self.bits > 8
        return self.bands <= OPENCV_BANDS and not deep_cmyk

    @property
    def unmarked(self) -> bool:
        """bool: Whether it has three bands or more that are not marked as RGB."""
        return self.grey and self.bands > 2

    def explain_misread(self, stretched: bool) -> str | None:
        """Why OpenCV would return other pixels than are stored; None if it does not.

        Args:
            stretched (bool): Whether the pixels are read with all their bits.
        """
        deep = self.bits > 8
        whole = deep and self.bands <= OPENCV_BANDS  # can be read with its bands
        if self.unmarked and not (stretched and whole):
            return (
                f'is a TIFF of {self.bands} bands that are not marked as RGB, of which '
                'only the first would be read; save it as RGB'
                f'{", or give --stretch" * (whole and not self.planar)}'
            )
        if stretched and deep and self.planar and self.bands > 1:
            return (
                f'is a TIFF of {self.bits} bits whose bands are stored one after the '
                'other, which OpenCV scrambles; save it pixel-interleaved '
                '(PlanarConfiguration 1)'
            )
        if stretched and deep and self.grey and self.bands == 2:
            return (
                f'is a TIFF of 2 bands of {self.bits} bits, of which OpenCV keeps 8; '
                'save it with one band'
            )
        if self.signed and not stretched:
            return 'has signed pixels, which only --stretch reduces to 8 bits'
        return None


def read_layout(data: bytes) -> TiffLayout | None:
    """Read the layout of a TIFF from its tags; nothing is decoded.

    Args:
        data (bytes): The file, or any buffer of it.

    Returns:
        TiffLayout, optional: None if it is no TIFF, or its tags cannot be read.
    """
    if bytes(data[:4]) not in MAGIC:
        return None  # before its bytes are copied
    return _read_tags(io.BytesIO(data))


def read_layouts(
    root: str, paths: Iterable[str]
) -> Iterator[tuple[str, TiffLayout | None]]:
    """Read the layouts of many files, of which a few bytes are read.

    Args:
        root (str): The folder of images.
        paths (Iterable[str]): Paths of the images relative to it.

    Yields:
        tuple: A path and its layout, as from :func:`read_layout`.
    """
    with ThreadPool(THREADS) as pool:
        yield from pool.imap(partial(_read_file, root), paths, chunksize=64)


def _read_file(root: str, path: str) -> tuple[str, TiffLayout | None]:
    try:
        with open(os.path.join(root, path), 'rb') as file:
            found = _read_tags(file) if file.read(4) in MAGIC else None
    except OSError:  # said where the image is used
        found = None
    return path, found


def _read_tags(stream: BinaryIO) -> TiffLayout | None:
    """The layout of a TIFF; None if its tags cannot be read."""
    stream.seek(0)
    head = stream.read(8)
    if BIG in head[2:4]:
        head += stream.read(8)
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(head)
        stream.seek(tags.next)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # about odd entries
            tags.load(stream)
        return TiffLayout.of(tags) if WIDTH in tags else None
    except Exception:  # Pillow raises nearly anything on bad bytes
        return None
