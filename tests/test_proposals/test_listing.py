import json
import os

import pytest

from soco_mm.proposals.listing import list_input
from soco_mm.utils import UsageError


@pytest.fixture
def folder(tmp_path):
    for name in ('b/2.jpg', 'a 1.jpg', 'b/ü.png'):
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'')
    return tmp_path / 'images'


def test_folder_list_and_coco_name_the_same_images(folder, tmp_path):
    paths = ['a 1.jpg', 'b/2.jpg', 'b/ü.png']
    assert list_input(folder)[:2] == (str(folder), paths)
    text = tmp_path / 'list.txt'
    lines = f'b/ü.png\n\n./b/2.jpg\n{folder}/a 1.jpg\nb/2.jpg\n'
    for content in (lines, lines.replace('\n', '\r\n'), '\ufeff' + lines):
        text.write_text(content)
        assert list_input(text, folder)[:2] == (str(folder), paths)
    inside = folder / 'list.txt'
    inside.write_text(text.read_text())
    assert list_input(inside)[:2] == (str(folder), paths)
    coco = tmp_path / 'coco.json'
    coco.write_text(json.dumps(dict(images=[dict(id=1, file_name=p) for p in paths])))
    assert list_input(coco, folder)[:2] == (str(folder), paths)


def test_paths_are_sorted_by_their_bytes_and_keep_them(folder, tmp_path):
    name = os.fsdecode(b'\xe9.jpg')  # not UTF-8
    (folder / name).write_bytes(b'')
    (tmp_path / 'list').write_bytes(b'\xe9.jpg\nb/2.jpg\n')
    assert list_input(tmp_path / 'list', folder)[1] == ['b/2.jpg', name]
    assert list_input(folder)[1][-1] == name


@pytest.mark.parametrize(
    'name, text, words',
    [
        ('l.txt', '\n', 'names no image'),
        ('l.txt', '../x.jpg', 'not below'),
        ('l.txt', '/etc/x.jpg', 'not below'),
        ('l.txt', 'x.jpg', 'with --root'),
        ('l.txt', 'x/b/2.jpg\ny/b/2.jpg', 'x/b/2.jpg and y/b/2.jpg, which could both'),
        ('c.json', '{"images": 3}', 'not a COCO json'),
        ('c.json', '{"images": [{"id": 3}]}', 'file_name'),
        ('c.json', '{', 'is not JSON'),
        ('c.json', '[]', 'not a COCO json'),
        ('c.json', '{"images": [{"file_name": "\\ud800.jpg"}]}', 'the name'),
        ('l.txt', 'a\0b.jpg', 'cannot be the name'),
    ],
)
def test_files_that_do_not_list_images_are_refused(folder, name, text, words):
    (folder / name).write_text(text)
    with pytest.raises(UsageError, match=words):
        list_input(folder / name)


def test_a_list_of_powershell_is_read(folder):
    (folder / 'utf16.txt').write_bytes('b/2.jpg\r\n'.encode('utf-16'))
    assert list_input(folder / 'utf16.txt').paths == ['b/2.jpg']


def test_root_is_for_files_alone(folder):
    with pytest.raises(UsageError, match='--root is for'):
        list_input(folder, folder)


def test_several_folders_are_listed_below_the_one_above_them(tmp_path):
    for name in ('a/1.jpg', 'b/c/2.jpg', 'd/3.jpg', 'b/notes.txt'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'')
    found = list_input([tmp_path / 'b', tmp_path / 'a'])
    assert found == (
        str(tmp_path),
        ['a/1.jpg', 'b/c/2.jpg'],
        ['1 file is not an image: .txt 1'],
    )
    # One that lies in another is not listed twice, and one alone is itself.
    for folders in (['b', 'b/c'], ['b', 'b/../b'], ['b']):
        found = list_input([tmp_path / each for each in folders])
        assert found[:2] == (str(tmp_path / 'b'), ['c/2.jpg'])
    with pytest.raises(UsageError, match='several folders are given'):
        list_input([tmp_path / 'a', tmp_path / 'b'], root=tmp_path)
    with pytest.raises(UsageError, match='Give one file, or several folders'):
        list_input([tmp_path / 'a', tmp_path / 'b/notes.txt'])


@pytest.mark.parametrize(
    'name', ['a.zip', 'a.tar', 'A.TGZ', 'a.tar.gz', 'a.7z', 'a.rar']
)
def test_archives_are_to_be_unpacked_first(tmp_path, name):
    (tmp_path / name).write_bytes(b'PK')
    for given in (tmp_path / name, [tmp_path / name]):
        with pytest.raises(UsageError, match='is an archive. Unpack it first'):
            list_input(given)


def test_one_image_is_no_list(demo_images):
    with pytest.raises(UsageError, match='is one image. Give a folder'):
        list_input(demo_images / 'coffee.jpg')
