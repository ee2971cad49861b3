import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from soco_mm.utils import UsageError, image_files, list_images

FIELD = Path(__file__).parents[3] / 'shared/field'


def write(path, form='PNG', **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (16, 12), 'red').save(path, form, **options)


def test_images_are_found_by_suffix_or_content_and_the_rest_is_counted(tmp_path):
    for name, form in (
        ('a.jfif', 'JPEG'),
        ('b.GIF', 'GIF'),
        ('c.ppm', 'PPM'),
        ('d.jpg_large', 'JPEG'),
        ('e', 'PNG'),
        ('f.tga', 'TGA'),
        ('g/h.mpo', 'MPO'),
        ('.hidden.png', 'PNG'),
    ):
        write(tmp_path / name, form)
    (tmp_path / 'notes.txt').write_text('a')
    (tmp_path / 'more.TXT').write_text('a')
    (tmp_path / 'phone.heic').write_bytes(b'\0\0\0\x18ftypheic\0\0\0\0mif1heic')
    (tmp_path / 'Makefile').write_text('all:')
    (tmp_path / 'drawing.eps').write_text('%!PS-Adobe-3.0 EPSF-3.0\n')
    listing = list_images(tmp_path)
    assert listing.paths == [
        'a.jfif',
        'b.GIF',
        'c.ppm',
        'd.jpg_large',
        'e',
        'f.tga',
        'g/h.mpo',
    ]
    assert listing.others == {'.txt': 2, '.heic': 1, '': 1, '.eps': 1}
    assert listing.describe() == [
        '5 files are not images: .txt 2, without a suffix 1, .eps 1, .heic 1'
    ]


def test_a_drawing_under_a_foreign_name_is_no_photo(tmp_path):
    # Pillow knows it, but would start another program to draw it.
    (tmp_path / 'a.drawing').write_text(
        '%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n'
    )
    write(tmp_path / 'b.png')
    assert list_images(tmp_path).paths == ['b.png']


def test_files_of_known_suffixes_are_not_opened(tmp_path, monkeypatch):
    for name in ('a.jpg', 'b.PNG', 'c.txt', 'd.json', 'e.DNG', 'f.nef'):
        (tmp_path / name).write_bytes(b'')

    def refuse(path):
        raise AssertionError(f'{path} was opened')

    monkeypatch.setattr(image_files, 'is_image', refuse)
    assert list_images(tmp_path).paths == ['a.jpg', 'b.PNG']


@pytest.mark.parametrize('content', [b'', b'text', None])
def test_names_that_are_not_utf8_do_no_harm(tmp_path, content):
    name = os.fsdecode(b'\xe9\n .odd')
    if content is None:
        write(tmp_path / name)
    else:
        write(tmp_path / 'a.png')
        (tmp_path / name).write_bytes(content)
    found = list_images(tmp_path).paths
    assert found == ([name] if content is None else ['a.png'])


def test_folders_of_results_are_left_out_and_said(tmp_path):
    write(tmp_path / 'a.png')
    write(tmp_path / 'out/preview.png')
    write(tmp_path / 'out.unfinished/b.png')
    write(tmp_path / 'run/preview.png')
    (tmp_path / 'run/vis_data').mkdir()
    (tmp_path / 'run/job.json').write_text('{}')
    write(tmp_path / 'deep/store/c.png')
    (tmp_path / 'deep/store/path_offsets.npy').write_bytes(b'')
    write(tmp_path / 'exported/d.png')
    (tmp_path / 'exported/soco_weights.pth').write_bytes(b'')
    # A job.json alone is somebody else's.
    write(tmp_path / 'scan/e.png')
    (tmp_path / 'scan/job.json').write_text('{}')
    listing = list_images(tmp_path, exclude=[tmp_path / 'out'])
    assert listing.paths == ['a.png', 'scan/e.png']
    assert sorted(listing.results) == [
        'deep/store',
        'exported',
        'out',
        'out.unfinished',
        'run',
    ]
    assert 'run is left out of the images: it is for results' in (listing.describe())


def test_a_folder_without_images_says_what_it_holds(tmp_path):
    (tmp_path / 'a.heic').write_bytes(b'no image')
    (tmp_path / 'b.txt').write_bytes(b'')
    with pytest.raises(
        UsageError, match='no image in .*; 2 files are not images: .heic 1, .txt 1'
    ):
        list_images(tmp_path)
    with pytest.raises(UsageError, match='There is no folder'):
        list_images(tmp_path / 'none')


def test_photos_of_a_phone_are_used_or_counted(tmp_path):
    if not FIELD.is_dir():
        pytest.skip('needs ../shared/field')
    shutil.copytree(FIELD / '23-phone-folder/img', tmp_path / 'img')
    listing = list_images(tmp_path / 'img')
    assert len(listing.paths) == 10
    assert listing.others == {'.heic': 1}
