import pytest

from soco_mm.proposals import PRESETS, build_settings
from soco_mm.registry import PROPOSALS
from soco_mm.utils import UsageError, read_image


def test_a_preset_without_changes_is_the_preset():
    for name, preset in PRESETS.items():
        assert build_settings(name) == preset
    changed = build_settings('released', scale=100, size_range=(0.1, 0.9))
    assert changed['generator']['scale'] == 100
    assert changed['generator']['min_size'] == 100
    assert changed['filter'] == dict(max_aspect=3, size_range=(0.1, 0.9), min_side=32)
    assert PRESETS['released']['generator']['scale'] == 300


def test_the_scale_follows_the_square_of_the_side_unless_it_is_given():
    for preset, side, scale in (('paper', 500, 500), ('released', 500, 300)):
        search = build_settings(preset, max_side=2 * side)['generator']
        assert (search['max_side'], search['scale']) == (1000, 4 * scale)
        assert build_settings(preset, max_side=side)['generator']['scale'] == scale
        assert build_settings(preset)['generator']['scale'] == scale
    assert build_settings('fast', max_side=80)['generator']['scale'] == 25
    assert build_settings(max_side=80, scale=7)['generator']['scale'] == 7


def test_random_boxes_obey_the_filter_and_are_not_filtered():
    settings = build_settings(method='random', max_aspect=2, max_boxes=7, seed=3)
    assert settings['filter'] is None and settings['seed'] == 3
    assert settings['generator'] == dict(
        type='RandomBoxes', max_aspect=2, size_range=(0.3, 0.8), num_boxes=7
    )


def test_edge_boxes_take_the_best_and_the_shape_of_the_filter():
    settings = build_settings(
        method='edge-boxes', max_boxes=9, max_side=200, max_aspect=2, size_range=(0, 1)
    )
    assert settings['generator'] == dict(
        type='EdgeBoxes', num_boxes=9, max_side=200, max_aspect=2
    )
    assert settings['filter'] == dict(max_aspect=2, size_range=(0, 1), min_side=0)


def test_a_union_has_the_arguments_of_both():
    settings = build_settings('fast', 'union', max_side=320, max_aspect=2, sigma=0.5)
    assert settings['generator']['type'] == 'Union'
    search, edges = settings['generator']['generators']
    assert search == build_settings('fast', max_side=320, sigma=0.5)['generator']
    assert (
        edges
        == build_settings(method='edge-boxes', max_side=320, max_aspect=2)['generator']
    )


@pytest.mark.parametrize(
    'changes, words',
    [
        (dict(method='whole', scale=3), '--scale does nothing'),
        (dict(method='random', min_side=3), '--min-side does nothing'),
        (dict(method='edge-boxes', scale=3), '--scale does nothing'),
        (dict(edge_model='x'), '--edge-model does nothing'),
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


def test_as_many_boxes_are_found_at_any_side(demo_images):
    """Within a factor of 1.5, where a scale that stays would give 4 times as many."""
    photo = read_image(demo_images / 'astronaut.jpg')
    numbers, fixed = [], []
    for side in (150, 300):
        search = build_settings(max_side=side)['generator']
        numbers.append(len(PROPOSALS.build(search)(photo)))
        fixed.append(len(PROPOSALS.build(dict(search, scale=45))(photo)))
    assert 2 / 3 < numbers[1] / numbers[0] < 1.5 < fixed[1] / fixed[0]
