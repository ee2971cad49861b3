import pytest

from soco_mm.proposals import PRESETS, build_settings
from soco_mm.utils import UsageError


def test_a_preset_without_changes_is_the_preset():
    for name, preset in PRESETS.items():
        assert build_settings(name) == preset
    changed = build_settings('released', scale=100, size_range=(0.1, 0.9))
    assert changed['generator']['scale'] == 100
    assert changed['generator']['min_size'] == 100
    assert changed['filter'] == dict(max_aspect=3, size_range=(0.1, 0.9), min_side=32)
    assert PRESETS['released']['generator']['scale'] == 300


def test_random_boxes_obey_the_filter_and_are_not_filtered():
    settings = build_settings(method='random', max_aspect=2, max_boxes=7, seed=3)
    assert settings['filter'] is None and settings['seed'] == 3
    assert settings['generator'] == dict(
        type='RandomBoxes', max_aspect=2, size_range=(0.3, 0.8), num_boxes=7
    )


@pytest.mark.parametrize(
    'changes, words',
    [
        (dict(method='whole', scale=3), '--scale does nothing'),
        (dict(method='random', min_side=3), '--min-side does nothing'),
        (dict(method='guess'), 'no method guess'),
        (dict(method='randon'), 'no method randon. Did you mean random?'),
        (dict(preset='release'), 'no preset release. Did you mean released?'),
        (dict(size_range=(0.8, 0.3)), 'smaller one first'),
        (dict(max_aspect=0.5), 'at least 1'),
        (dict(method='random', max_aspect=0), 'at least 1'),
        (dict(timeout=0), 'more than 0'),
    ],
)
def test_settings_without_a_meaning_are_refused(changes, words):
    with pytest.raises(UsageError, match=words):
        build_settings(**changes)
