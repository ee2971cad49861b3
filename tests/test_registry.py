"""What is registered is found from anywhere."""

from mmengine.registry import DefaultScope

from soco_mm.registry import MODELS, PROPOSALS, TRANSFORMS


def test_components_are_built_in_the_scope_of_another_library():
    with DefaultScope.overwrite_default_scope('mmdet'):
        transform = TRANSFORMS.build(dict(type='BoxJitter'))
        head = MODELS.build(dict(type='mmdet.CrossEntropyLoss'))
        PROPOSALS.build(dict(type='WholeImage'))
        assert DefaultScope.get_current_instance().scope_name == 'mmdet'
    assert type(transform).__module__.startswith('soco_mm.')
    assert type(head).__module__.startswith('mmdet.')
