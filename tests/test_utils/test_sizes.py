import pytest
from PIL import Image

from soco_mm.utils import ImageError, read_image, read_sizes


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tif'])
def test_sizes_are_those_of_the_upright_image(tmp_path, suffix):
    names = []
    for orientation in range(9):  # 0 is no orientation
        exif = Image.Exif()
        if orientation:
            exif[0x0112] = orientation
        names.append(f'{orientation}.{suffix}')
        Image.new('RGB', (40, 20)).save(tmp_path / names[-1], exif=exif)
    sizes = list(read_sizes(str(tmp_path), names))
    assert sizes == [
        read_image(tmp_path / name).shape[1::-1] for name in names
    ]
    assert set(sizes) == {(40, 20), (20, 40)}


def test_images_without_a_size_have_a_reason(tmp_path):
    (tmp_path / 'empty.jpg').write_bytes(b'')
    (tmp_path / 'text.jpg').write_text('no image')
    (tmp_path / 'folder.jpg').mkdir()
    Image.new('L', (30, 7)).save(tmp_path / 'small.png')
    Image.new('L', (30, 8)).save(tmp_path / 'odd.jpg', exif=b'Exif\0\0junk')
    found = read_sizes(
        str(tmp_path), [
            'none.jpg', 'empty.jpg', 'text.jpg', 'folder.jpg', 'nul\0.jpg',
            'small.png', 'odd.jpg'
        ])
    *reasons, size = found
    assert all(isinstance(each, ImageError) for each in reasons)
    assert [str(each).split(' (')[0] for each in reasons] == [
        'is missing', 'is empty',
        'is damaged, or not an image that OpenCV can decode',
        'cannot be read', 'cannot be read', 'is too small'
    ]
    assert size == (30, 8)
