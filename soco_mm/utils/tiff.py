"""How a TIFF stores its pixels, of which OpenCV misreads some kinds silently."""

import io
import warnings
from collections.abc import Mapping
from typing import NamedTuple

from PIL import TiffImagePlugin

MAGIC = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
BIG = 43  # the version of a BigTIFF, whose head is longer
# Numbers of tags.
WIDTH, BITS, PHOTOMETRIC, SAMPLES, PLANAR, FORMAT = 256, 258, 262, 277, 284, 339
GREY = (0, 1)  # WhiteIsZero and BlackIsZero
SIGNED = 2
OPENCV_BANDS = 4  # it reads no TIFF of more


class TiffLayout(NamedTuple):
    """How the pixels of a TIFF are stored.

    Attributes:
        bands (int): Channels of a pixel, with those beyond its colours.
        bits (int): Of a channel.
        grey (bool): Whether it says that its first band is a grey image.
        planar (bool): Whether its bands are stored one after the other.
        signed (bool): Whether its pixels are signed integers.
    """

    bands: int
    bits: int
    grey: bool
    planar: bool
    signed: bool

    @classmethod
    def of(cls, tags: Mapping) -> 'TiffLayout':
        """The layout that the tags of a file, by number, say."""

        def first(tag: int, default: int) -> int:
            value = tags.get(tag, default)
            return int(value[0] if isinstance(value, tuple) else value)

        return cls(
            first(SAMPLES, 1),
            first(BITS, 1),
            first(PHOTOMETRIC, GREY[1]) in GREY,
            first(PLANAR, 1) == 2,
            first(FORMAT, 1) == SIGNED,
        )

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
    stream = io.BytesIO(data)
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
