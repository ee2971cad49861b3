"""The EXIF orientation that OpenCV applies, which is not always the one of Pillow."""

import struct
import zlib
from typing import IO

from PIL import Image, TiffImagePlugin
from PIL.ExifTags import Base

_BYTE_ORDERS = {b'II*\0': '<', b'MM\0*': '>'}
_PREFIX = b'Exif\0\0'
_ENTRY = 12  # bytes
# OpenCV reads these texts, and nothing that comes after one that is cut off.
_TEXTS = {Base.ImageDescription, Base.Make, Base.Model}
_PNG_START = 8  # bytes of the signature


def read_orientation(image: Image.Image) -> int:
    """The EXIF orientation that OpenCV applies, from 1 (none) to 8.

    ``Image.getexif`` would also look at other metadata, which OpenCV ignores,
    and would decode some images for it.

    Args:
        image (Image.Image): An image whose pixels are not loaded yet.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        orientation = image.tag_v2.get(Base.Orientation)
        return orientation if orientation in range(1, 9) else 1
    if image.format == 'PNG':
        return find_orientation(_read_png(image.fp))
    exif = image.info.get('exif', b'')
    if image.format != 'WEBP':  # where OpenCV takes it for a part of EXIF
        exif = exif.removeprefix(_PREFIX)
    return find_orientation(exif)


def find_orientation(exif: bytes) -> int:
    """The orientation in EXIF as OpenCV reads it.

    It takes the first two bytes of the value, whatever type is noted. Pillow goes
    by the type, and leaves an entry out that is cut off.

    Args:
        exif (bytes): The EXIF, from the byte order on.

    Returns:
        int: From 1 (none) to 8.
    """
    order = _BYTE_ORDERS.get(exif[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f'{order}I', exif, 4)
        (number,) = struct.unpack_from(f'{order}H', exif, start)
        for place in range(start + 2, start + 2 + number * _ENTRY, _ENTRY):
            (tag,) = struct.unpack_from(f'{order}H', exif, place)
            if tag == Base.Orientation:
                (orientation,) = struct.unpack_from(f'{order}H', exif, place + 8)
                return orientation if orientation in range(1, 9) else 1
            if tag in _TEXTS:
                length, text = struct.unpack_from(f'{order}II', exif, place + 4)
                if length > 4 and text + length > len(exif):
                    break
    except struct.error:  # its end is missing
        pass
    return 1


def _read_png(stream: IO[bytes]) -> bytes:
    """The EXIF of a PNG, empty if there is none.

    Some programs write it behind the pixels, where Pillow sees it only once these
    are loaded. Pixels are skipped here. As in libpng, the first one counts that is
    whole and starts with a byte order, behind the pixels only if the file is whole.
    """
    place = stream.tell()
    stream.seek(_PNG_START)
    exif, behind = b'', False
    try:
        while len(head := stream.read(8)) == 8:
            length, name = struct.unpack('>I4s', head)
            if name == b'eXIf' and not exif:
                content, check = stream.read(length), stream.read(4)
                whole = check == zlib.crc32(name + content).to_bytes(4, 'big')
                if whole and content[:4] in _BYTE_ORDERS:
                    exif = content
                if exif and not behind:
                    return exif
                continue
            if name == b'IEND':
                return exif if len(stream.read(4)) == 4 else b''
            behind = behind or name == b'IDAT'
            stream.seek(length + 4, 1)
        return b''
    finally:
        stream.seek(place)  # where Pillow goes on
