import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from soco_mm.utils import ImageError, read_image, read_intact_image, read_size
from soco_mm.utils.image import decode_deep, decode_image


def encode(image, form, **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return np.frombuffer(stream.getvalue(), np.uint8)


def photo(demo_images, size=(60, 40)):
    return Image.open(demo_images / 'coffee.jpg').resize(size)


def huge_png(width, height):
    """A PNG whose head alone is there."""

    def chunk(kind, content):
        return (
            struct.pack('>I', len(content))
            + kind
            + content
            + struct.pack('>I', zlib.crc32(kind + content))
        )

    head = struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)
    return (
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', head)
        + chunk(b'IDAT', zlib.compress(b'\0' * 99))
        + chunk(b'IEND', b'')
    )


@pytest.mark.parametrize('form', ['TGA', 'PCX', 'ICO', 'SGI'])
def test_pillow_reads_what_opencv_cannot(demo_images, form):
    image = photo(demo_images)
    data = encode(image, form, **(dict(sizes=[(60, 40)]) if form == 'ICO' else {}))
    assert cv2.imdecode(data, cv2.IMREAD_COLOR) is None
    assert (decode_image(data) == np.asarray(image)).all()


def test_grey_transparent_and_palette_images_of_pillow_become_rgb(demo_images):
    image = photo(demo_images)
    grey = image.convert('L')
    read = decode_image(encode(grey, 'TGA'))
    assert (read == np.asarray(grey)[..., None]).all()
    clear = image.convert('RGBA')
    clear.putalpha(0)
    # As OpenCV does, the colours stay.
    assert (decode_image(encode(clear, 'TGA')) == np.asarray(image)).all()
    palette = image.convert('P')
    assert (
        decode_image(encode(palette, 'TGA')) == np.asarray(palette.convert('RGB'))
    ).all()


@pytest.mark.parametrize('orientation', range(1, 9))
def test_pillow_turns_images_as_opencv_does(demo_images, orientation, monkeypatch):
    exif = Image.Exif()
    exif[0x112] = orientation
    for form in ('PNG', 'TIFF'):
        data = encode(photo(demo_images), form, exif=exif)
        wanted = decode_image(data)
        with monkeypatch.context() as patch:
            patch.setattr(cv2, 'imdecode', lambda data, flags: None)
            assert (decode_image(data) == wanted).all()


@pytest.mark.parametrize('channels', [1, 3])
def test_images_of_32_bits_need_a_stretch(channels):
    values = np.linspace(-3, 7, 480, dtype=np.float32).reshape(20, 24)
    if channels == 1:
        data = encode(Image.fromarray(values), 'TIFF')
    else:  # which Pillow cannot read
        data = cv2.imencode('.tif', np.dstack([values] * 3))[1]
    with pytest.raises(ImageError, match='32 bits, which only --stretch'):
        decode_image(data)
    wanted = np.rint((values + 3) / 10 * 255).clip(0, 255)
    read = decode_image(data, (0, 100))
    assert read.shape == (20, 24, 3) and read.dtype == np.uint8
    assert np.abs(read - wanted[..., None]).max() <= 1


@pytest.mark.parametrize(
    'form, mode',
    [
        ('PNG', 'RGB'),
        ('PNG', 'L'),
        ('PNG', 'P'),
        ('PNG', 'RGBA'),
        ('PNG', '1'),
        ('PNG', 'LA'),
        ('JPEG', 'L'),
        ('JPEG', 'RGB'),
        ('JPEG', 'CMYK'),
        ('TIFF', 'RGB'),
        ('TIFF', 'L'),
        ('WEBP', 'RGB'),
        ('WEBP', 'RGBA'),
        ('GIF', 'P'),
        ('BMP', 'L'),
        ('TGA', 'RGB'),
    ],
)
def test_images_of_8_bits_are_the_same_with_a_stretch(demo_images, form, mode):
    data = encode(photo(demo_images).convert(mode), form)
    assert (decode_image(data, (1, 99)) == decode_image(data)).all()


def test_deep_images_keep_their_values_and_their_turn():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 1 << 16, (9, 12, 3)).astype(np.uint16)
    data = np.frombuffer(cv2.imencode('.png', image)[1], np.uint8)
    assert (decode_deep(data) == image[..., ::-1]).all()
    assert (decode_image(data) == (image[..., ::-1] >> 8)).all()
    exif = Image.Exif()
    exif[0x112] = 6
    data = encode(Image.fromarray(image[..., 0]), 'PNG', exif=exif)
    assert (decode_deep(data)[..., 0] == np.rot90(image[..., 0], -1)).all()


@pytest.mark.parametrize('size', [(14000, 14000), (40000, 40000), (2_000_000, 9)])
def test_large_images_are_too_large_and_not_damaged(tmp_path, size):
    path = tmp_path / 'a.png'
    path.write_bytes(huge_png(*size))
    with pytest.raises(ImageError, match=r'^is too large \('):
        read_intact_image(path, 1_000_000)
    if size == (14000, 14000):
        # More than Pillow's limit, which is not that of training.
        assert read_size(path) == size
        return
    for read in (read_size, read_intact_image):
        with pytest.raises(ImageError, match=r'^is too large'):
            read(path)


def test_image_whose_end_is_missing_is_damaged(tmp_path, demo_images):
    data = (demo_images / 'coffee.jpg').read_bytes()
    path = tmp_path / 'a.jpg'
    path.write_bytes(data[: -len(data) // 20])
    with pytest.raises(ImageError, match=r'^is damaged \(its end is missing\)$'):
        read_intact_image(path)


def test_a_large_note_in_a_png_does_no_harm(tmp_path, demo_images):
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text('note', 'a' * (2 << 20), zip=True)
    path = tmp_path / 'a.png'
    photo(demo_images).save(path, pnginfo=info)
    with pytest.raises(ValueError, match='too large'):
        Image.open(path).load()
    assert (read_intact_image(path) == read_image(path)).all()
    assert read_size(path) == (60, 40)


def test_what_only_transparency_shows_is_no_image(tmp_path):
    """As of icons: all its colours are black."""
    image = Image.new('RGBA', (20, 30))
    image.paste((0, 0, 0, 255), (5, 5, 15, 15))
    image.save(tmp_path / 'a.png')
    with pytest.raises(ImageError, match='of one colour without its transparency'):
        read_intact_image(tmp_path / 'a.png')
    image.putpixel((0, 0), (1, 0, 0, 255))
    image.save(tmp_path / 'b.png')
    assert read_intact_image(tmp_path / 'b.png').max() == 1
    Image.new('RGBA', (20, 30)).save(tmp_path / 'c.png')  # nothing is drawn
    assert not read_intact_image(tmp_path / 'c.png').any()


def test_a_pam_is_refused_since_its_colours_would_be_swapped(tmp_path):
    head = b'P7\nWIDTH 9\nHEIGHT 8\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n'
    path = tmp_path / 'a.pam'
    path.write_bytes(head + bytes([200, 100, 50]) * 72)
    assert cv2.imread(str(path))[0, 0, 0] == 200  # blue, where it is red
    for read in (read_image, read_intact_image, read_size):
        with pytest.raises(ImageError, match='PAM, whose red and blue OpenCV swaps'):
            read(path)
