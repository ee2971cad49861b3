import pytest

from soco_mm.coco.values import Ids, to_box, to_flag, to_number, to_side


@pytest.mark.parametrize(
    'value',
    [
        None,
        False,
        0,
        0.0,
        '',
        ' ',
        '0',
        '0.0',
        'false',
        'False',
        'no',
        'None',
        'null',
        'off',
        float('nan'),
        'NaN',
    ],
)
def test_what_means_no_is_no_flag(value):
    assert to_flag(value) is False


@pytest.mark.parametrize('value', [True, 1, 2, '1', 'true', 'TRUE', 'yes'])
def test_what_means_yes_is_a_flag(value):
    assert to_flag(value) is True


@pytest.mark.parametrize('value', ['perhaps', [], {}, float('inf')])
def test_what_is_no_flag_is_refused(value):
    with pytest.raises(ValueError, match='is not a finite number'):
        to_flag(value)


def test_numbers_may_be_text():
    assert [to_number(each) for each in (3, 2.5, '3', ' 2.5e1 ', '-1')] == [
        3,
        2.5,
        3,
        25,
        -1,
    ]
    for value in (True, None, 'x', '', [], 'nan', float('inf'), '1,5'):
        with pytest.raises(ValueError, match='is not a finite number'):
            to_number(value)


def test_sides_of_zero_and_less_are_unknown():
    assert [to_side(each) for each in ('160', 120.0, '64.0')] == [160, 120, 64]
    unknown = None, '', ' ', 'null', float('nan'), 0, '0', -1
    assert {to_side(each) for each in unknown} == {None}
    with pytest.raises(ValueError, match="'1.5' is not a whole number"):
        to_side('1.5')


def test_boxes_are_four_numbers():
    assert to_box(['1', 2, 3.5, '4']) == (1, 2, 3.5, 4)
    for value in (
        [1, 2, 3],
        [1, 2, 3, 4, 5],
        None,
        7,
        'abcd',
        [1, 2, 3, None],
        dict(x=1, y=2, w=3, h=4),
    ):
        with pytest.raises(ValueError, match='not four finite numbers'):
            to_box(value)


def test_ids_are_found_as_numbers_and_as_text():
    ids = Ids([7, 'a', '9', 3.0])
    assert [ids.find(each) for each in (7, '7', 7.0, ' a', 9, '9', '3')] == [
        0,
        0,
        0,
        1,
        2,
        2,
        3,
    ]
    assert ids.find(8) is None and ids.find(None) is None
    # As text they are the same, and it is not known which is meant.
    ids = Ids([1, '1', '2'])
    assert [ids.find(each) for each in (1, '1', 1.0, ' 1')] == [0, 1, 0, None]
    with pytest.raises(TypeError):
        ids.find([])
