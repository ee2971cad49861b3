"""Sizes in the heads of files with odd EXIF are those of the pixels."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import Base

from soco_mm.utils import read_head, read_image
from soco_mm.utils.exif import find_orientation

SHORT, LONG, BYTE, RATIONAL = 3, 4, 1, 5


def exif_of(orientation, order='<', kind=SHORT, count=1, before=()):
    """EXIF of an orientation, behind other entries of (tag, type, count, value)."""
    entry = (Base.Orientation, kind, count, orientation)
    found = (b'II*\0' if order == '<' else b'MM\0*') + struct.pack(order + 'I', 8)
    found += struct.pack(order + 'H', len(before) + 1)
    for tag, kind, count, value in [*before, entry]:
        code = {SHORT: 'H2x', BYTE: 'B3x'}.get(kind, 'I')
        found += struct.pack(f'{order}HHI{code}', tag, kind, count, value)
    return found + bytes(4)


def chunk(name, content):
    check = struct.pack('>I', zlib.crc32(name + content))
    return struct.pack('>I', len(content)) + name + content + check


def encode(kind, **options):
    stream = io.BytesIO()
    Image.new('RGB', (40, 20)).save(stream, kind, **options)
    return stream.getvalue()


def add(*chunks, behind=True, **options):
    """A PNG with more chunks before or behind the pixels."""
    data = encode('PNG', **options)
    place = data.index(b'IEND' if behind else b'IDAT') - 4
    return data[:place] + b''.join(chunks) + data[place:]


def check_head(path, data, **known):
    """The head says the size of the pixels, and the orientation that they had."""
    path.write_bytes(data)
    head = read_head(str(path))
    size = read_image(path).shape[1::-1]
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is not None:  # else Pillow reads it
        assert size == pixels.shape[1::-1]
    assert head.size == size == known.get('size', size)
    assert head.orientation == known.get('orientation', 1 if size == (40, 20) else 6)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_behind_the_pixels_of_a_png_turns_them(tmp_path, orientation):
    exif = chunk(b'eXIf', exif_of(orientation))
    size = (20, 40) if orientation > 4 else (40, 20)
    for behind in (True, False):
        data = add(exif, behind=behind)
        check_head(tmp_path / 'a.png', data, size=size, orientation=orientation)


@pytest.mark.parametrize('behind', [True, False])
def test_of_several_exif_the_first_that_libpng_takes_counts(tmp_path, behind):
    six, one = (chunk(b'eXIf', exif_of(each)) for each in (6, 1))
    prefixed = chunk(b'eXIf', b'Exif\0\0' + exif_of(6))
    damaged = chunk(b'eXIf', exif_of(6))[:-1] + b'!'
    # Pillow does not open one that is damaged before the pixels.
    more = [([damaged, six], (20, 40))] * behind
    for chunks, size in (
        *more,
        ([six, one], (20, 40)),
        ([one, six], (40, 20)),
        ([prefixed], (40, 20)),
        ([prefixed, six], (20, 40)),
        ([damaged], (40, 20)),
        ([chunk(b'eXIf', b'')], (40, 20)),
    ):
        check_head(tmp_path / 'a.png', add(*chunks, behind=behind), size=size)


def test_exif_behind_the_pixels_counts_in_whole_files_only(tmp_path):
    data = add(chunk(b'eXIf', exif_of(6)))
    check_head(tmp_path / 'a.png', data + b'more', size=(20, 40))
    check_head(tmp_path / 'a.png', data[:-12], size=(40, 20))
    check_head(tmp_path / 'a.png', data[:-6], size=(40, 20))
    whole = encode('PNG')
    check_head(tmp_path / 'a.png', whole + chunk(b'eXIf', exif_of(6)), size=(40, 20))


@pytest.mark.parametrize('behind', [True, False])
def test_a_png_of_several_frames_is_as_opencv_has_it(tmp_path, behind):
    frames = dict(save_all=True, append_images=[Image.new('RGB', (40, 20), 'red')])
    data = add(chunk(b'eXIf', exif_of(6)), behind=behind, **frames)
    check_head(tmp_path / 'a.png', data)


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp'])
@pytest.mark.parametrize('order', '<>')
@pytest.mark.parametrize('kind', [SHORT, LONG, BYTE, RATIONAL])
def test_the_type_of_an_orientation_does_not_matter(tmp_path, suffix, order, kind):
    exif = exif_of(6, order, kind)
    turned = order == '<' or kind == SHORT
    check_odd(tmp_path / f'a.{suffix}', exif, turned)


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp'])
@pytest.mark.parametrize(
    'exif, turned',
    [
        (exif_of(6, count=0), True),
        (exif_of(6)[:-6], True),  # within the entry
        (exif_of(6)[:-8], False),
        (exif_of(9), False),
        (exif_of(6)[:8], False),
        (exif_of(6, before=[(Base.Make, 2, 99, 9999)]), False),
        (exif_of(6, before=[(Base.Make, 2, 4, 9999)]), True),
        (exif_of(6, before=[(Base.ImageWidth, LONG, 1, 40)]), True),
    ],
)
def test_damaged_exif_is_read_as_far_as_opencv_does(tmp_path, suffix, exif, turned):
    check_odd(tmp_path / f'a.{suffix}', exif, turned)


def check_odd(path, exif, turned):
    assert find_orientation(exif) == (6 if turned else 1)
    if path.suffix == '.jpg':
        data = encode('JPEG', exif=b'Exif\0\0' + exif)
    elif path.suffix == '.png':
        data = add(chunk(b'eXIf', exif), behind=False)
    else:
        data = encode('WEBP', exif=exif)
    check_head(path, data, size=(20, 40) if turned else (40, 20))


def test_webp_has_exif_without_a_prefix(tmp_path):
    data = encode('WEBP', exif=exif_of(6))
    exif = b'Exif\0\0' + exif_of(6)
    data = data[: data.index(b'EXIF')] + b'EXIF' + struct.pack('<I', len(exif)) + exif
    data = data[:4] + struct.pack('<I', len(data) - 8) + data[8:]
    check_head(tmp_path / 'a.webp', data)
