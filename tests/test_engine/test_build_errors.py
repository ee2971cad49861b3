import pytest
import small

from soco_mm.engine.config import building, load_config
from soco_mm.engine.trial import build_trial, naming
from soco_mm.errors import SoCoError


def refusal(options):
    """What is said of a config that cannot be built."""
    cfg = load_config(small.SOCO, options)
    # Views of no images, which are built last.
    cfg.train_dataloader.dataset = dict(type='soco_mm.ObjectViewDataset')
    with pytest.raises(SoCoError) as refused:
        with naming(options):
            build_trial(cfg)
    return str(refused.value)


@pytest.mark.parametrize(
    'key, value, words',
    [
        ('model.backbone.type', 'mmdet.ResNett', 'model mmdet.ResNett.+ mmdet.ResNet?'),
        ('optim_wrapper.optimizer.type', 'Lars', 'optimizer Lars.+ LARS?'),
        ('optim_wrapper.optimizer.weight_decai', 1, "'weight_decai'.+ weight_decay?"),
        ('default_hooks.logger.type', 'LogerHook', 'hook LogerHook.+ LoggerHook?'),
        ('model.backbone.dept', 18, "argument 'dept'.+ depth?"),
    ],
)
def test_wrong_types_and_arguments_are_answered_with_what_was_meant(key, value, words):
    first, _, meant = words.partition('+')
    text = refusal({key: value})
    assert f'{first} Did you mean{meant}' in text
    assert f' Check what --cfg-options sets: {key}={value!r}' in text
    assert 'registry' not in text and '?.' not in text


def test_transforms_that_do_not_exist_are_answered_with_what_was_meant():
    from soco_mm.registry import TRANSFORMS

    with pytest.raises(SoCoError, match=r'no transform BoxJiter. .*mean BoxJitter\?'):
        with building('a data pipeline'):
            TRANSFORMS.build(dict(type='BoxJiter'))


def test_other_errors_keep_their_words():
    with pytest.raises(SoCoError, match='into a net: depth 19 is not known$'):
        with building('a net'):
            raise ValueError('depth 19 is not known')
    with pytest.raises(SoCoError, match='into a net: raise AssertionError$'):
        with building('a net'):
            raise AssertionError
