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
    assert list_input(folder) == (str(folder), paths)
    text = tmp_path / 'list.txt'
    lines = f'b/ü.png\n\n./b/2.jpg\n{folder}/a 1.jpg\nb/2.jpg\n'
    for content in (lines, lines.replace('\n', '\r\n'), '\ufeff' + lines):
        text.write_text(content)
        assert list_input(text, folder) == (str(folder), paths)
    inside = folder / 'list.txt'
    inside.write_text(text.read_text())
    assert list_input(inside) == (str(folder), paths)
    coco = tmp_path / 'coco.json'
    coco.write_text(
        json.dumps(dict(images=[dict(id=1, file_name=p) for p in paths])))
    assert list_input(coco, folder) == (str(folder), paths)


def test_paths_are_sorted_by_their_bytes_and_keep_them(folder, tmp_path):
    name = os.fsdecode(b'\xe9.jpg')  # not UTF-8
    (folder / name).write_bytes(b'')
    (tmp_path / 'list').write_bytes(b'\xe9.jpg\nb/2.jpg\n')
    assert list_input(tmp_path / 'list', folder)[1] == ['b/2.jpg', name]
    assert list_input(folder)[1][-1] == name


@pytest.mark.parametrize('name, text, words', [
    ('l.txt', '\n', 'names no image'),
    ('l.txt', '../x.jpg', 'not below'),
    ('l.txt', '/etc/x.jpg', 'not below'),
    ('l.txt', 'x.jpg', 'with --root'),
    ('c.json', '{"images": 3}', 'not a COCO json'),
    ('c.json', '{"images": [{"id": 3}]}', 'file_name'),
    ('c.json', '{', 'is not JSON'),
    ('c.json', '[]', 'not a COCO json'),
    ('c.json', '{"images": [{"file_name": "\\ud800.jpg"}]}', 'the name'),
    ('l.txt', 'a\0b.jpg', 'cannot be the name'),
])
def test_files_that_do_not_list_images_are_refused(folder, name, text, words):
    (folder / name).write_text(text)
    with pytest.raises(UsageError, match=words):
        list_input(folder / name)


def test_root_is_for_files_alone(folder):
    with pytest.raises(UsageError, match='--root is for'):
        list_input(folder, folder)
