from types import SimpleNamespace

import numpy as np
import pytest

from soco_mm.proposals import (
    EdgeBoxes,
    Proposals,
    ProposalStore,
    RandomBoxes,
    SelectiveSearch,
    statistics,
)
from soco_mm.proposals.statistics import (
    advise,
    box_shapes,
    generator_parameters,
    store_histograms,
)

HEADER = dict(
    generator=dict(type='SelectiveSearch', scale=500, sigma=0.9, min_size=10),
    filter=dict(max_aspect=3, size_range=[0.3, 0.8], min_side=0),
    max_boxes=None,
)


def summary(images=100, median=20, failures=0, left_out=0, **status):
    status = dict(dict(aspect_only=0, min_side_only=0, whole_image=0), **status)
    status['filtered'] = images - sum(status.values())
    return SimpleNamespace(
        images=images,
        boxes_per_image=dict(median=median),
        status=status,
        failures=failures,
        left_out=left_out,
    )


def objects(sides, aspect=1.0, image=(1000, 1000)):
    """Objects of such sqrt(wh) in pixels and such w/h."""
    sides, aspect = np.broadcast_arrays(np.asarray(sides, float), aspect)
    size = np.stack([sides * np.sqrt(aspect), sides / np.sqrt(aspect)], 1)
    start = np.full((len(sides), 2), 3.0)
    return np.concatenate([start, start + size], 1), np.tile(image, (len(sides), 1))


def options(sentence):
    """The flags of the example in a sentence, as numbers."""
    words = sentence.split('e.g. ')[1].rstrip('.').split()
    found = {}
    for word in words:
        if word.startswith('--'):
            key = word[2:].replace('-', '_')
            found[key] = []
        else:
            try:
                found[key].append(float(word.rstrip(',')))
            except ValueError:
                break
    return found


def test_histograms_count_every_box_and_image(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    results, relative, aspect, numbers = [], [], [], []
    for index in range(60):
        number = int(rng.integers(1, 9)) if index else 400
        width, height = rng.integers(50, 500, 2).tolist()
        corners = np.sort(rng.random((number, 2, 2)), 1)
        boxes = np.float32(corners.reshape(-1, 4) * [width, height, width, height])
        results.append(Proposals(f'{index:03d}.jpg', boxes, (width, height), 0))
        w, h = (boxes[:, 2:] - boxes[:, :2]).astype(float).T
        relative += np.sqrt(w * h / width / height).tolist()
        aspect += np.log2(w / h).tolist()
        numbers.append(number)
    ProposalStore.write(tmp_path / 'store', HEADER, results)
    monkeypatch.setattr(statistics, 'BLOCK', 7)  # images lie across blocks
    histograms = store_histograms(ProposalStore.open(tmp_path / 'store'))
    for name, values in dict(size=relative, aspect=aspect).items():
        edges, counts = histograms[name]
        expected, _ = np.histogram(np.clip(values, *edges[[0, -1]]), edges)
        np.testing.assert_array_equal(counts, expected)
    edges, counts = histograms['number']
    expected, _ = np.histogram(np.minimum(numbers, edges[-1]), edges)
    np.testing.assert_array_equal(counts, expected)
    assert counts.sum() == 60 and counts[-1] >= 1 and edges[0] == -0.5


def test_long_tail_of_numbers_is_in_the_last_bin(tmp_path):
    box = np.float32([[0, 0, 5, 5]])
    ProposalStore.write(
        tmp_path / 'store',
        HEADER,
        [
            Proposals(
                f'{i:03d}.jpg', np.repeat(box, 5000 if i == 0 else 3, 0), (10, 10), 0
            )
            for i in range(300)
        ],
    )
    edges, counts = store_histograms(ProposalStore.open(tmp_path / 'store'))['number']
    np.testing.assert_array_equal(edges, [-0.5, 0.5, 1.5, 2.5, 3.5])
    np.testing.assert_array_equal(counts, [0, 0, 0, 300])


def test_lines_and_points_have_a_shape():
    relative, aspect = box_shapes(
        np.float32([[5, 5, 5, 5], [0, 5, 9, 5]]), np.array([[10, 10]] * 2)
    )
    assert np.isfinite([relative, np.log2(aspect)]).all()
    assert (relative < 1e-3).all()


def test_all_is_well_without_advice():
    assert advise(summary(), HEADER) == []
    sides = np.linspace(310, 790, 50)
    assert advise(summary(), HEADER, *objects(sides, 1.5)) == []
    # The paper's filter leaves a few objects out of any data set.
    sides[:10] = 20
    assert advise(summary(), HEADER, *objects(sides, 1.5)) == []


def test_small_objects_lower_the_first_value():
    sides = np.r_[np.linspace(60, 290, 91), np.linspace(310, 500, 9)]
    (advice,) = advise(summary(), HEADER, *objects(sides))
    assert advice.startswith(
        '91 % of the annotated objects are smaller than '
        "the smallest kept proposal (0.3 of the image's "
        'side)'
    )
    assert advice.endswith('e.g. --size-range 0.1 0.8.')


def test_large_objects_raise_the_second_value():
    (advice,) = advise(summary(), HEADER, *objects([500, 900, 930]))
    assert 'larger than the largest kept proposal (0.8' in advice
    assert options(advice) == dict(size_range=[0.3, 0.95])


def test_small_and_large_objects_get_one_range():
    advice = advise(summary(), HEADER, *objects([60, 70, 900, 930]))
    assert len(advice) == 2
    assert [options(each) for each in advice] == [dict(size_range=[0.05, 0.95])] * 2


@pytest.mark.parametrize('seed', range(20))
def test_following_the_advice_on_objects_silences_it(seed):
    rng = np.random.default_rng(seed)
    number = int(rng.integers(1, 40))
    boxes, sizes = objects(
        np.exp(rng.uniform(np.log(8), np.log(1900), number)),
        np.exp(rng.normal(0, 1.5, number)),
        (3000, 2000),
    )
    header = dict(
        generator=dict(HEADER['generator'], max_side=500),
        filter=dict(max_aspect=1.5, size_range=[0.3, 0.5], min_side=32),
    )
    first = advise(summary(), header, boxes, sizes)
    assert first
    for sentence in first:
        for key, values in options(sentence).items():
            part = 'filter' if key in header['filter'] else 'generator'
            assert key in header[part]
            header[part][key] = values if key == 'size_range' else values[0]
    assert advise(summary(), header, boxes, sizes) == []


def test_long_objects_raise_max_aspect_in_both_directions():
    (advice,) = advise(
        summary(), HEADER, *objects([400] * 10, [1] * 6 + [1 / 5] * 2 + [4.5] * 2)
    )
    assert advice.startswith('40 % of the annotated objects')
    assert options(advice) == dict(max_aspect=[5])


def test_thin_objects_lower_min_side():
    header = dict(HEADER, filter=dict(HEADER['filter'], min_side=32))
    (advice,) = advise(summary(), header, *objects([20.5, 21, 50], image=(65, 65)))
    assert options(advice) == dict(min_side=[20])


def test_small_objects_in_large_images_raise_max_side():
    header = dict(HEADER, filter=None)
    boxes, sizes = objects([40] * 10, image=(4000, 3000))
    (advice,) = advise(summary(), header, boxes, sizes)
    assert 'are reduced to 500' in advice
    assert options(advice) == dict(max_side=[1600], scale=[500])  # 16 pixels are left
    assert advise(summary(), header, boxes, sizes // 5) == []
    other = dict(header, generator=dict(type='my_module.MyGenerator'))
    assert advise(summary(), other, boxes, sizes) == []


@pytest.mark.parametrize(
    'status, expected',
    [
        ('aspect_only', dict(size_range=[0.15, 0.9])),
        ('min_side_only', dict(max_aspect=[6])),
        ('whole_image', dict(scale=[250], min_size=[5])),
    ],
)
def test_fallbacks_name_the_flag_to_change(status, expected):
    assert advise(summary(**{status: 9}), HEADER) == []
    (advice,) = advise(summary(**{status: 34}), HEADER)
    assert '34 % of the images' in advice
    assert options(advice) == expected
    assert advise(summary(**{status: 34}), dict(HEADER, filter=None)) == []


def test_failed_images_are_no_fallback():
    (advice,) = advise(summary(whole_image=30, failures=35, left_out=5), HEADER)
    assert advice.startswith('35 images failed, of which 5 cannot be used')
    assert 'failures.jsonl' in advice


def test_few_boxes_name_what_limits_them():
    assert advise(summary(median=4), HEADER) == []
    (advice,) = advise(summary(median=3), HEADER)
    assert 'at most 3 boxes, but training draws 4' in advice
    assert options(advice) == dict(scale=[250], min_size=[5])
    (advice,) = advise(summary(median=2), dict(HEADER, max_boxes=2))
    assert options(advice) == dict(max_boxes=[32])
    whole = dict(generator=dict(type='WholeImage'), filter=None)
    assert advise(summary(median=1), whole) == []


def test_parameters_include_what_was_left_at_its_default():
    parameters = generator_parameters(dict(type='SelectiveSearch', scale=7))
    assert parameters['scale'] == 7 and parameters['max_side'] == 500
    assert generator_parameters(dict(type='a.B', x=1)) == dict(x=1)
    for known in (SelectiveSearch, EdgeBoxes, RandomBoxes):
        built = vars(known())
        assert generator_parameters(dict(type=known.__name__)) == built


def test_parameters_name_an_edge_model_that_is_gone():
    generator = dict(type='EdgeBoxes', max_side=400, edge_model='/gone/model.yml.gz')
    parameters = generator_parameters(generator)
    assert parameters['edge_model'] == '/gone/model.yml.gz'
    assert parameters['max_side'] == 400 and parameters['num_boxes'] == 500
    # Advice looks at them too.
    boxes, sizes = np.array([[0, 0, 9, 9]]), np.array([[4000, 3000]])
    (advice,) = advise(summary(), dict(HEADER, generator=generator), boxes, sizes)[-1:]
    assert 'reduced to 400; raise --max-side' in advice


@pytest.mark.parametrize('images', [2, 21, 300])
def test_one_image_does_not_stretch_the_axis_of_numbers(tmp_path, images):
    box = np.float32([[0, 0, 5, 5]])
    results = [
        Proposals(f'{i:03d}.jpg', np.repeat(box, 900 if i else 9, 0), (10, 10), 0)
        for i in (0, *range(2, images), 1)
    ]
    results = [
        each._replace(boxes=box.repeat(9, 0)) if number < images - 1 else each
        for number, each in enumerate(results)
    ]
    results.sort(key=lambda each: each.path)
    ProposalStore.write(tmp_path / 'store', HEADER, results)
    edges, counts = store_histograms(ProposalStore.open(tmp_path / 'store'))['number']
    assert edges[-1] < 20 and counts.sum() == images
