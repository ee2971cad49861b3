import shutil

import pytest

from soco_mm.evaluation import ClassFolders, LoadRGBImage
from soco_mm.utils import SoCoError, UsageError, read_image


def put(source, *paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, path)


def test_nested_images_are_labelled_by_their_class_folder(demo_images, tmp_path):
    put(
        demo_images / 'coins.jpg',
        tmp_path / 'b/1.jpg',
        tmp_path / 'a/x/y/2.PNG',
        tmp_path / 'a/3.webp',
        tmp_path / 'beside.jpg',
        tmp_path / '.hidden/4.jpg',
        tmp_path / 'a/.5.jpg',
    )
    data = ClassFolders(str(tmp_path))
    assert data.metainfo['classes'] == ['a', 'b']
    assert [
        (info['img_path'], info['gt_label'])
        for info in map(data.get_data_info, range(len(data)))
    ] == [
        (f'{tmp_path}/a/3.webp', 0),
        (f'{tmp_path}/a/x/y/2.PNG', 0),
        (f'{tmp_path}/b/1.jpg', 1),
    ]


def test_validation_has_the_numbers_of_training(demo_images, tmp_path):
    for name in 'abc':
        put(demo_images / 'coins.jpg', tmp_path / 'train' / name / '1.jpg')
    put(demo_images / 'coins.jpg', tmp_path / 'val/b/1.jpg', tmp_path / 'val/c/1.jpg')
    train, val = str(tmp_path / 'train'), str(tmp_path / 'val')
    data = ClassFolders(val, classes_of=train)
    assert data.metainfo['classes'] == ['a', 'b', 'c']
    assert [data.get_data_info(i)['gt_label'] for i in range(len(data))] == [1, 2]
    with pytest.raises(UsageError, match=r'has the class a, which .*val lack'):
        ClassFolders(train, classes_of=val)


def test_folders_without_labelled_images_are_refused(demo_images, tmp_path):
    with pytest.raises(UsageError, match='There is no folder'):
        ClassFolders(str(tmp_path / 'none'))
    with pytest.raises(UsageError, match='holds no class folders'):
        ClassFolders(str(demo_images))
    put(demo_images / 'coins.jpg', tmp_path / 'a/1.jpg')
    with pytest.raises(UsageError, match='holds 1 class folder. Give'):
        ClassFolders(str(tmp_path))
    (tmp_path / 'b').mkdir()
    with pytest.raises(UsageError, match='class folder .*b holds no image'):
        ClassFolders(str(tmp_path))
    with pytest.raises(UsageError, match='but no class folders'):
        ClassFolders(str(demo_images), classes_of=str(tmp_path))


def test_images_are_read_as_in_pretraining(demo_images, tmp_path):
    path = str(demo_images / 'chelsea.jpg')
    loaded = LoadRGBImage()(dict(img_path=path))
    assert (loaded['img'] == read_image(path)).all()
    assert loaded['img_shape'] == loaded['img'].shape[:2]
    half = tmp_path / 'half.jpg'
    half.write_bytes((demo_images / 'coffee.jpg').read_bytes()[:100])
    with pytest.raises(SoCoError, match='half.jpg is damaged'):
        LoadRGBImage()(dict(img_path=str(half)))
