"""The class that a part of a config names."""

import pytest
from mmengine.config import ConfigDict
from mmengine.hooks import CheckpointHook

from soco_mm.utils.class_names import class_name


@pytest.mark.parametrize(
    'kind, name',
    [
        ('LoadImage', 'LoadImage'),
        ('soco_mm.LoadImage', 'LoadImage'),
        ('mmengine.hooks.CheckpointHook', 'CheckpointHook'),
        (CheckpointHook, 'CheckpointHook'),
        (None, ''),
    ],
)
def test_a_class_has_one_name_however_a_config_gives_it(kind, name):
    assert class_name(dict(type=kind)) == name
    assert class_name(ConfigDict(type=kind)) == name


def test_a_part_without_a_class_has_none():
    assert class_name({}) == ''
