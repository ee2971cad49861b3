import os
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from soco_mm.utils import ImageError, read_head, read_image, read_size, read_sizes

FIELD = Path(__file__).parents[3] / 'shared/field'
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.'
    'org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:tiff="http://ns.'
    'adobe.com/tiff/1.0/" tiff:Orientation="{}"/></rdf:RDF></x:xmpmeta>'
)


def check_sizes(folder, names):
    """The sizes of files, held against those of all readers of pixels."""
    sizes = list(read_sizes(str(folder), names, min_side=1))
    for name, size in zip(names, sizes):
        assert size == read_image(folder / name).shape[1::-1], name
        assert size == read_size(folder / name), name
        # MMDetection's LoadImageFromFile.
        data = (folder / name).read_bytes()
        assert size == mmcv.imfrombytes(data).shape[1::-1], name
    return sizes


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tif', 'avif'])
def test_sizes_are_those_of_the_image_that_exif_turns(tmp_path, suffix):
    names = []
    for orientation in range(10):  # 0 is no orientation, 9 not one
        exif = Image.Exif()
        if orientation:
            exif[0x0112] = orientation
        names.append(f'{orientation}.{suffix}')
        Image.new('RGB', (40, 20)).save(tmp_path / names[-1], exif=exif)
    sizes = set(check_sizes(tmp_path, names))
    # OpenCV may turn those of AVIF or not.
    assert suffix == 'avif' or sizes == {(40, 20), (20, 40)}


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tif'])
def test_sizes_are_those_of_the_image_that_xmp_does_not_turn(tmp_path, suffix):
    names = []
    for orientation in range(1, 9):
        note = XMP.format(orientation).encode()
        options = dict(xmp=note)
        if suffix == 'png':
            info = PngInfo()
            info.add_itxt('XML:com.adobe.xmp', note.decode())
            options = dict(pnginfo=info)
        elif suffix == 'tif':
            options = dict(tiffinfo={700: note})
        names.append(f'{orientation}.{suffix}')
        path = tmp_path / names[-1]
        Image.new('RGB', (40, 20)).save(path, **options)
        assert b'tiff:Orientation' in path.read_bytes()
    assert set(check_sizes(tmp_path, names)) == {(40, 20)}


def test_sizes_of_turned_photos_of_the_field():
    if not FIELD.is_dir():
        pytest.skip('needs ../shared/field')
    for folder in (
        '20-orientation',
        '21b-thermal-narrow-range/img',
        '23-phone-folder/img',
    ):
        names = [
            each.name
            for each in sorted((FIELD / folder).iterdir())
            if each.suffix != '.heic'
        ]
        assert names
        check_sizes(FIELD / folder, names)


def test_heads_tell_the_depth_and_whether_opencv_reads_it(tmp_path):
    grey = np.zeros((9, 12), np.uint16)
    cv2.imwrite(str(tmp_path / 'grey.png'), grey)
    cv2.imwrite(str(tmp_path / 'colour.png'), np.dstack([grey] * 3))
    cv2.imwrite(str(tmp_path / 'grey.tif'), grey)
    cv2.imwrite(str(tmp_path / 'colour.tif'), np.dstack([grey] * 3))
    for number, name in ((1, 'float.tif'), (3, 'float colour.tif')):
        cv2.imwrite(str(tmp_path / name), np.float32(np.dstack([grey] * number)))
    for name in ('a.png', 'a.jpg', 'a.tif', 'a.tga', os.fsdecode(b'\xe9.tga')):
        Image.new('RGB', (12, 9)).save(tmp_path / name)
    heads = {path.name: read_head(str(path)) for path in tmp_path.iterdir()}
    assert {each.size for each in heads.values()} == {(12, 9)}
    assert {name for name, head in heads.items() if head.deep} == {
        'grey.png',
        'colour.png',
        'grey.tif',
        'colour.tif',
        'float.tif',
        'float colour.tif',
    }
    assert {name for name, head in heads.items() if not head.opencv} == {
        'a.tga',
        os.fsdecode(b'\xe9.tga'),
    }


def test_images_without_a_size_have_a_reason(tmp_path):
    (tmp_path / 'empty.jpg').write_bytes(b'')
    (tmp_path / 'text.jpg').write_text('no image')
    (tmp_path / 'folder.jpg').mkdir()
    Image.new('L', (30, 7)).save(tmp_path / 'small.png')
    Image.new('L', (30, 8)).save(tmp_path / 'odd.jpg', exif=b'Exif\0\0junk')
    found = read_sizes(
        str(tmp_path),
        [
            'none.jpg',
            'empty.jpg',
            'text.jpg',
            'folder.jpg',
            'nul\0.jpg',
            'small.png',
            'odd.jpg',
        ],
    )
    *reasons, size = found
    assert all(isinstance(each, ImageError) for each in reasons)
    assert [str(each).split(' (')[0] for each in reasons] == [
        'is missing',
        'is empty',
        'is damaged, or not an image that OpenCV or Pillow can decode',
        'cannot be read',
        'cannot be read',
        'is too small',
    ]
    assert size == (30, 8)
