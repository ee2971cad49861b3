from soco_mm.proposals.summary import describe_sizes

HEADER = dict(
    filter=dict(max_aspect=3, size_range=[0.3, 0.8], min_side=0),
    found=dict(boxes=200, too_small=180, too_large=5),
)


def test_kept_sizes_are_said_in_numbers_and_warned_of_in_words():
    kept, warning = describe_sizes(HEADER)
    assert kept == (
        "kept: boxes of 0.3 to 0.8 of the image's side; of 200 found, 180 were smaller "
        'and 5 larger'
    )
    assert warning.startswith('WARNING: 90 % of the boxes found are smaller')
    assert '--ann' in warning


def test_there_is_no_warning_where_objects_told_or_little_is_smaller():
    assert len(describe_sizes(dict(HEADER, derived=dict(objects=9)))) == 1
    few = dict(boxes=200, too_small=100, too_large=5)
    assert len(describe_sizes(dict(HEADER, found=few))) == 1


def test_stores_without_these_figures_say_what_they_can():
    old = {key: HEADER[key] for key in HEADER if key != 'found'}
    assert describe_sizes(old) == ["kept: boxes of 0.3 to 0.8 of the image's side"]
    assert describe_sizes(dict(HEADER, filter=None)) == []
