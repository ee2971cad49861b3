import struct

import numpy as np
import pytest

from soco_mm.utils import ImageError, read_head
from soco_mm.utils.image import decode_deep, decode_image
from soco_mm.utils.tiff import TiffLayout, read_layout

STRETCH = (0.0, 100.0)
GREY, RGB = 1, 2  # PhotometricInterpretation
FORMATS = dict(u=1, i=2, f=3)


def make_tiff(pixels, photometric=RGB, planar=False):
    """The bytes of an uncompressed TIFF of pixels (H, W, C), by the standard."""
    height, width, bands = pixels.shape
    bits = 8 * pixels.dtype.itemsize
    content = (pixels.transpose(2, 0, 1) if planar else pixels).tobytes()
    plane = len(content) // (bands if planar else 1)
    number = bands if planar else 1
    extra = bands - (3 if photometric == RGB else 1)
    tags = {
        256: [width],
        257: [height],
        258: [bits] * bands,
        259: [1],
        262: [photometric],
        273: None,  # where the strips are, below
        277: [bands],
        278: [height],
        279: [plane] * number,
        284: [2 if planar else 1],
        338: [0] * extra,
        339: [FORMATS[pixels.dtype.kind]] * bands,
    }
    tags = {tag: value for tag, value in tags.items() if value != []}
    beyond = 8 + 2 + 12 * len(tags) + 4
    start = beyond + 16 * len(tags)
    tags[273] = [start + index * plane for index in range(number)]
    entries = values = b''
    for tag, value in sorted(tags.items()):
        long = tag in (273, 279)
        packed = struct.pack(f'<{len(value)}{"IH"[not long]}', *value)
        if len(packed) > 4:
            place = struct.pack('<I', beyond + len(values))
            values += packed.ljust(16, b'\0')
        else:
            place = packed.ljust(4, b'\0')
        entries += struct.pack('<HHI', tag, 4 if long else 3, len(value)) + place
    head = b'II*\0' + struct.pack('<IH', 8, len(tags)) + entries + bytes(4)
    data = (head + values).ljust(start, b'\0') + content
    return np.frombuffer(data, np.uint8)


def ramp(dtype, bands=3):
    """An image whose bands differ, from the smallest value to the largest."""
    limits = np.iinfo(dtype) if np.dtype(dtype).kind in 'iu' else np.finfo(np.float16)
    steps = np.linspace(float(limits.min), float(limits.max), 24 * 40 * bands)
    return steps.reshape(24, 40, bands)[:, ::-1].astype(dtype)


@pytest.mark.parametrize('bands', [3, 4])
def test_bands_that_are_not_marked_as_rgb_are_never_read_as_one(bands, tmp_path):
    pixels = ramp(np.uint16, bands)
    data = make_tiff(pixels, GREY)
    assert (decode_deep(data) == pixels[..., :3]).all()
    with pytest.raises(ImageError) as refused:
        decode_image(data)
    assert str(refused.value) == (
        f'is a TIFF of {bands} bands that are not marked as RGB, of which only the '
        'first would be read; save it as RGB, or give --stretch'
    )
    path = tmp_path / 'a.tif'
    path.write_bytes(data.tobytes())
    head = read_head(str(path))
    assert head.size == (40, 24) and head.deep and head.opencv
    # OpenCV cannot be told to read these.
    with pytest.raises(ImageError, match='; save it as RGB$'):
        decode_image(make_tiff(ramp(np.uint8, bands), GREY), STRETCH)


@pytest.mark.parametrize('dtype', [np.uint16, np.float32])
def test_bands_that_follow_each_other_are_refused_where_opencv_scrambles_them(dtype):
    pixels = ramp(dtype)
    data = make_tiff(pixels, planar=True)
    with pytest.raises(ImageError, match='bands are stored one after the other'):
        decode_image(data, STRETCH)
    expected = np.rint((pixels - pixels.min()) * (255 / (np.ptp(pixels) * 1.0)))
    beside = decode_image(make_tiff(pixels), STRETCH)
    assert np.abs(beside - expected).max() <= 1
    small = ramp(np.uint8)
    for stretch in (None, STRETCH):
        assert (decode_image(make_tiff(small, planar=True), stretch) == small).all()


def test_planar_images_of_16_bits_keep_their_colours_without_a_stretch():
    pixels = ramp(np.uint16)
    read = decode_image(make_tiff(pixels, planar=True))
    assert np.abs(read.astype(int) - (pixels >> 8)).max() <= 1


@pytest.mark.parametrize('dtype', [np.int8, np.int16])
def test_signed_pixels_do_not_wrap_around(dtype):
    pixels = ramp(dtype, 1)
    data = make_tiff(pixels, GREY)
    with pytest.raises(ImageError, match='signed pixels, which only --stretch'):
        decode_image(data)
    read = decode_image(data, STRETCH)[..., 0].astype(int)
    expected = (
        (pixels[..., 0].astype(float) - pixels.min())
        * 255
        / np.ptp(pixels.astype(float))
    )
    assert np.abs(read - expected).max() <= 1


def test_two_bands_of_16_bits_do_not_lose_their_depth_silently():
    data = make_tiff(ramp(np.uint16, 2), GREY)
    with pytest.raises(ImageError, match='2 bands of 16 bits, of which OpenCV keeps 8'):
        decode_image(data, STRETCH)


def test_more_bands_than_opencv_reads_are_no_image_for_a_detector(tmp_path):
    pixels = ramp(np.uint8, 5)
    data = make_tiff(pixels)
    assert (decode_image(data) == pixels[..., :3]).all()
    (tmp_path / 'a.tif').write_bytes(data.tobytes())
    assert not read_head(str(tmp_path / 'a.tif')).opencv


def test_the_layout_is_that_of_the_tags_and_none_of_other_files(demo_images):
    data = make_tiff(ramp(np.uint16), planar=True)
    assert read_layout(data) == TiffLayout(3, 16, False, True, False)
    assert read_layout(data[:9]) is None
    assert read_layout(np.frombuffer(b'II*\0', np.uint8)) is None
    assert read_layout(np.fromfile(demo_images / 'coffee.jpg', np.uint8)) is None
