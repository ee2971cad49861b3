import numpy as np
import pytest

from soco_mm.datasets import ConstructViews, ViewRandomFlip
from soco_mm.datasets.transforms.views import random_crop

VIEWS = [
    dict(size=224),
    dict(size=224, source=0, crop_scale=(0.5, 1.0), crop_ratio=(3 / 4, 4 / 3)),
    dict(size=112, source=1),
    dict(size=192, source=0, crop_scale=(0.5, 1.0)),
]


def construct(image, proposals, seed, flip=0.5):
    results = dict(image=image, proposals=proposals, rng=np.random.default_rng(seed))
    return ViewRandomFlip(flip)(ConstructViews(VIEWS)(results))


@pytest.mark.parametrize('seed', range(30))
def test_what_is_painted_in_a_box_lands_in_its_box_in_every_view(seed):
    rng = np.random.default_rng(seed)
    width, height = rng.integers(150, 600, 2)
    image = np.zeros((height, width, 3), np.uint8)
    size = rng.uniform(30, 80, 2)
    corner = rng.uniform(0, (width, height) - size).round()
    size = size.round()
    (x1, y1), (x2, y2) = corner.astype(int), (corner + size).astype(int)
    image[y1:y2, x1:x2] = 255
    results = construct(image, [[x1, y1, x2, y2]], seed)
    for view, boxes, visible in zip(
        results['views'], results['boxes'], results['visible']
    ):
        painted = np.argwhere(view[..., 0] > 127)
        if not visible[0]:
            assert len(painted) <= view.shape[0]  # less than a pixel wide
        else:
            low = painted.min(0)[::-1]
            high = painted.max(0)[::-1] + 1
            np.testing.assert_allclose(boxes[0], [*low, *high], atol=1.01)


def test_boxes_stay_in_the_view_and_none_is_visible_outside_it():
    rng = np.random.default_rng(0)
    image = np.zeros((300, 400, 3), np.uint8)
    corner = rng.uniform(0, 250, (50, 2))
    proposals = np.concatenate([corner, corner + rng.uniform(5, 50, (50, 2))], 1)
    seen = 0
    for seed in range(20):
        results = construct(image, proposals, seed)
        for view, boxes, visible in zip(
            results['views'], results['boxes'], results['visible']
        ):
            assert boxes.dtype == np.float32
            assert boxes.min() >= 0 and boxes.max() <= view.shape[0]
            sides = boxes[:, 2:] - boxes[:, :2]
            assert ((sides >= 1).all(1) == visible).all()
            seen += (~visible).sum()
    assert seen > 0


def test_third_view_is_the_second_at_half_the_size():
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8)
    results = construct(image, [[50, 60, 200, 220]], 3, flip=0)
    np.testing.assert_allclose(results['boxes'][2], results['boxes'][1] / 2, atol=1e-4)
    halved = results['views'][1].reshape(112, 2, 112, 2, 3).mean((1, 3))
    assert np.abs(results['views'][2] - halved).max() <= 1


def test_flip_is_independent_for_each_view():
    image = np.zeros((100, 100, 3), np.uint8)
    image[:, :30] = 255
    flips = []
    for seed in range(400):
        results = dict(
            image=image, proposals=[[0, 0, 30, 100]], rng=np.random.default_rng(seed)
        )
        results = ViewRandomFlip()(ConstructViews([dict(size=64)] * 2)(results))
        flips.append([view[0, 0, 0] == 0 for view in results['views']])
    shares = np.array(flips).mean(0)
    assert (abs(shares - 0.5) < 0.1).all()
    agree = np.mean([first == second for first, second in flips])
    assert abs(agree - 0.5) < 0.1


def test_crops_have_the_area_and_aspect_that_were_asked_for():
    rng = np.random.default_rng(0)
    crops = np.array(
        [random_crop(rng, 224, 224, (0.5, 1.0), (3 / 4, 4 / 3)) for _ in range(3000)]
    )
    left, top, width, height = crops.T
    assert (left >= 0).all() and (left + width <= 224).all()
    assert (top >= 0).all() and (top + height <= 224).all()
    area, aspect = width * height / 224**2, width / height
    assert area.min() >= 0.49 and area.max() <= 1 and area.max() > 0.9
    assert aspect.min() >= 0.74 and aspect.max() <= 1.35
    assert abs(np.log(aspect).mean()) < 0.02


def test_crop_that_never_fits_is_the_largest_central_one():
    rng = np.random.default_rng(0)
    assert random_crop(rng, 400, 10, (0.9, 1.0), (3 / 4, 4 / 3)) == (193, 0, 13, 10)


def test_a_crop_without_source_is_cut_from_the_image_itself():
    """Its aspect of 3/4 to 4/3 is in pixels of the image, not of V1."""
    image = np.zeros((200, 600, 3), np.uint8)
    aspects = []
    for seed in range(300):
        views = [dict(size=224), dict(size=224, crop_scale=(0.3, 0.4))]
        results = dict(
            image=image, proposals=[[0, 0, 600, 200]], rng=np.random.default_rng(seed)
        )
        maker = ConstructViews(views)
        crops = maker._draw_crops(results['rng'], 600, 200)
        aspects.append(crops[1][2] / crops[1][3])
    assert min(aspects) > 0.73 and max(aspects) < 1.36


def scattered(number, max_tries, seed, counts):
    """Draw crops of a 900 x 300 image with small proposals in its corners."""
    corners = np.array([[0, 0], [880, 280], [0, 280], [880, 0]])[:number]
    maker = ConstructViews(
        [dict(size=224), dict(size=224, crop_scale=(0.05, 0.1))], max_tries
    )
    draw = maker._draw_crops

    def counted(*args):
        counts.append(1)
        return draw(*args)

    maker._draw_crops = counted
    results = maker(
        dict(
            image=np.zeros((300, 900, 3), np.uint8),
            proposals=np.concatenate([corners, corners + 20], 1),
            rng=np.random.default_rng(seed),
        )
    )
    return results['visible'][1].sum()


def test_crops_are_drawn_up_to_five_times_until_proposals_are_common():
    once, tries, after = [], [], []
    for seed in range(300):
        once.append(scattered(4, 1, seed, []))
        counts = []
        after.append(scattered(4, 5, seed, counts))
        tries.append(len(counts))
    once, tries, after = map(np.array, (once, tries, after))
    assert (once == 0).mean() > 0.5
    assert tries.min() >= 1 and tries.max() == 5
    # Two at the first try, one at later ones, the last whatever it shows.
    assert (after[tries == 1] >= 2).all()
    assert (after[(tries > 1) & (tries < 5)] >= 1).all()
    assert ((once < 2) == (tries > 1)).all()
    assert (after == 0).mean() < (once == 0).mean()


def test_pictures_and_boxes_are_of_the_same_draw():
    for seed in range(20):
        results = dict(
            image=np.zeros((300, 900, 3), np.uint8),
            proposals=[[400, 100, 500, 200]],
            rng=np.random.default_rng(seed),
        )
        results['image'][100:200, 400:500] = 255
        results = ConstructViews(
            [dict(size=224), dict(size=224, crop_scale=(0.2, 0.3))], 5
        )(results)
        x1, y1, x2, y2 = results['boxes'][1][0]
        painted = (results['views'][1][..., 0] > 127).sum()
        assert abs(painted - (x2 - x1) * (y2 - y1)) <= 3 * 224


def test_draws_are_one_or_more():
    with pytest.raises(ValueError, match='max_tries must be 1 or more'):
        ConstructViews([dict(size=224)], max_tries=0)


def test_view_of_a_later_view_is_refused():
    with pytest.raises(ValueError, match='earlier view'):
        ConstructViews([dict(size=224, source=1), dict(size=224)])


def test_crops_are_uniform_in_area_place_and_logarithm_of_the_aspect():
    """Of a range in which each draw fits, so that none is drawn again."""
    rng = np.random.default_rng(0)
    crops = [
        random_crop(rng, 1000, 600, (0.1, 0.3), (3 / 4, 4 / 3)) for _ in range(4000)
    ]
    left, top, width, height = np.array(crops).T
    at, uniform = np.linspace(0, 1, 11), np.linspace(0, 1, 11)
    shares = (
        (width * height / 600000 - 0.1) / 0.2,
        np.log(width / height) / np.log(4 / 3) / 2 + 0.5,
        left / (1000 - width),
        top / (600 - height),
    )
    for share in shares:
        assert np.abs(np.quantile(share, at) - uniform).max() < 0.03
