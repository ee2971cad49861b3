import cv2
import numpy as np
import pytest
from tiffs import CMYK, GREY, make_tiff, ramp

from soco_mm.utils import ImageError, read_head
from soco_mm.utils.image import decode_deep, decode_image
from soco_mm.utils.tiff import TiffLayout, read_layout, read_layouts

STRETCH = (0.0, 100.0)


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
    assert read_layout(data) == TiffLayout(3, 16, 2, True, False, False)
    assert read_layout(data[:9]) is None
    assert read_layout(np.frombuffer(b'II*\0', np.uint8)) is None
    assert read_layout(np.fromfile(demo_images / 'coffee.jpg', np.uint8)) is None


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_colours_are_never_multiplied_by_a_band_that_is_no_mask(dtype):
    """Such as near infrared, which GDAL and tifffile mark as alpha."""
    pixels = ramp(dtype, 4)
    data = make_tiff(pixels, extra=2)
    deep = dtype is np.uint16
    with pytest.raises(
        ImageError, match='fourth band is marked as alpha .* is no mask'
    ):
        decode_image(data)
    if deep:
        assert decode_image(data, STRETCH).shape == (24, 40, 3)
        assert (decode_deep(data) == pixels[..., :3]).all()
    else:
        with pytest.raises(ImageError, match='is no mask'):
            decode_image(data, STRETCH)
    eight = (pixels[..., :3] >> 8 * deep).astype(int)
    for extra in (0, 1):  # unspecified, and colours that are multiplied already
        read = decode_image(make_tiff(pixels, extra=extra))
        assert np.abs(read - eight).max() <= 1
    # A mask makes black what is outside.
    mask = np.arange(40) < 30
    pixels[..., 3] = np.where(mask, np.iinfo(dtype).max, 0)
    read = decode_image(make_tiff(pixels, extra=2))
    assert np.abs(read - eight * mask[:, None]).max() <= 1


@pytest.mark.parametrize('dtype', [np.uint16, np.int16, np.float32])
def test_what_is_white_at_zero_is_so_with_all_its_bits(dtype):
    pixels = ramp(dtype, 1)
    expected = decode_image(make_tiff(pixels, GREY), STRETCH)
    read = decode_image(make_tiff(pixels, photometric=0), STRETCH)
    assert read[0, -1, 0] == 255 - read[-1, 0, 0] != read[-1, 0, 0]
    assert np.abs(read.astype(int) - (255 - expected.astype(int))).max() <= 1


def test_deep_cmyk_is_no_image_for_a_detector(tmp_path):
    path = tmp_path / 'a.tif'
    for dtype, opencv in ((np.uint8, True), (np.uint16, False)):
        path.write_bytes(make_tiff(ramp(dtype, 4), CMYK).tobytes())
        assert read_head(str(path)).opencv == opencv
        assert (cv2.imread(str(path)) is not None) == opencv


def test_layouts_of_files_are_those_of_their_bytes(tmp_path):
    files = dict(
        a=make_tiff(ramp(np.uint16), planar=True),
        b=make_tiff(ramp(np.uint8, 4), extra=2),
        c=np.zeros(2, np.uint8),
    )
    for name, data in files.items():
        (tmp_path / name).write_bytes(data.tobytes())
    expected = [(name, read_layout(data)) for name, data in files.items()]
    assert list(read_layouts(str(tmp_path), [*files, 'none'])) == [
        *expected,
        ('none', None),
    ]
    assert expected[1][1] == TiffLayout(4, 8, 2, False, False, True)
