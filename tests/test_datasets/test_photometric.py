"""Each step is held against Pillow, on which torchvision's semantics rest."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from soco_mm.datasets import (
    ViewColorJitter,
    ViewGaussianBlur,
    ViewRandomGrayscale,
    ViewSolarize,
)
from soco_mm.datasets.transforms import photometric
from soco_mm.utils import read_image


@pytest.fixture
def photo(demo_images):
    return cv2.resize(read_image(demo_images / 'coffee.jpg'), (224, 224))


@pytest.mark.parametrize('factor', [0.6, 1.0, 1.4])
@pytest.mark.parametrize(
    'ours, theirs',
    [
        (photometric.adjust_brightness, ImageEnhance.Brightness),
        (photometric.adjust_contrast, ImageEnhance.Contrast),
        (photometric.adjust_saturation, ImageEnhance.Color),
    ],
)
def test_enhancements_equal_pillow(photo, ours, theirs, factor):
    expected = np.asarray(theirs(Image.fromarray(photo)).enhance(factor), int)
    assert np.abs(ours(photo, factor) - expected).max() <= 2


@pytest.mark.parametrize('shift', [-0.1, 0.0, 0.07])
def test_hue_shift_equals_pillow(photo, shift):
    h, s, v = Image.fromarray(photo).convert('HSV').split()
    turned = (np.asarray(h, np.int32) + int(shift * 255)) % 256
    h = Image.fromarray(turned.astype(np.uint8))
    expected = np.asarray(Image.merge('HSV', (h, s, v)).convert('RGB'), int)
    difference = np.abs(photometric.adjust_hue(photo, shift) - expected)
    assert difference.mean() < 1.5


def test_solarize_and_grey_equal_pillow(photo):
    rng = np.random.default_rng(0)
    pil = Image.fromarray(photo)
    np.testing.assert_array_equal(
        ViewSolarize(128).apply(photo, rng), ImageOps.solarize(pil, 128)
    )
    grey = np.asarray(ImageOps.grayscale(pil), int)[..., None]
    assert np.abs(ViewRandomGrayscale().apply(photo, rng) - grey).max() <= 1


def test_blur_has_the_width_that_was_drawn():
    dot = np.zeros((65, 65, 3), np.uint8)
    dot[32, 32] = 255
    dot = cv2.blur(dot, (1, 1))
    blurred = (
        ViewGaussianBlur(sigma=(1.5, 1.5))
        .apply(dot, np.random.default_rng(0))[..., 0]
        .astype(float)
    )
    x = np.arange(65) - 32
    variance = (blurred.sum(0) * x**2).sum() / blurred.sum()
    assert variance**0.5 == pytest.approx(1.5, rel=0.1)


def test_probabilities_are_those_of_each_view():
    counts = np.zeros(3)
    blank = np.full((2, 2, 3), 255, np.uint8)
    for seed in range(2000):
        results = dict(views=[blank] * 3, rng=np.random.default_rng(seed))
        views = ViewSolarize(128, prob=(0.0, 0.2, 1.0))(results)['views']
        counts += [view[0, 0, 0] == 0 for view in views]
    assert counts[0] == 0 and counts[2] == 2000
    assert abs(counts[1] / 2000 - 0.2) < 0.03


def test_colour_jitter_takes_its_steps_in_every_order(photo, monkeypatch):
    orders = set()
    jitter = ViewColorJitter()
    for seed in range(200):
        order = []
        jitter.steps = [
            (lambda view, value, i=i: (order.append(i), view)[1], 0, 0)
            for i in range(4)
        ]
        jitter.apply(photo, np.random.default_rng(seed))
        orders.add(tuple(order))
    assert len(orders) == 24


def test_colours_change_by_factors_that_are_uniform_in_their_ranges(monkeypatch):
    names = ('brightness', 'contrast', 'saturation', 'hue')
    drawn = {name: [] for name in names}
    for name in names:

        def note(view, value, name=name):
            drawn[name].append(value)
            return view

        monkeypatch.setattr(photometric, f'adjust_{name}', note)
    jitter = ViewColorJitter(0.4, 0.3, 0.2, 0.1)
    for seed in range(4000):
        jitter.apply(np.zeros((1, 1, 3), np.uint8), np.random.default_rng(seed))
    at = np.linspace(0, 1, 11)
    for name, extent in zip(names, (0.4, 0.3, 0.2, 0.1)):
        centre = 0 if name == 'hue' else 1
        share = (np.array(drawn[name]) - centre) / extent
        assert len(share) == 4000
        assert np.abs(np.quantile(share, at) - np.linspace(-1, 1, 11)).max() < 0.06


def test_the_width_of_the_blur_is_uniform_in_its_range():
    dot = np.zeros((65, 65, 3), np.uint8)
    dot[26:39, 26:39] = 255
    x = np.arange(65) - 32
    before = (dot[..., 0].sum(0) * x**2).sum() / dot[..., 0].sum()
    blur, widths = ViewGaussianBlur(sigma=(2.0, 6.0)), []
    for seed in range(600):
        profile = blur.apply(dot, np.random.default_rng(seed))[..., 0].sum(0)
        widths.append((profile * x**2).sum() / profile.sum() - before)
    found = np.quantile(np.sqrt(widths), [0.05, 0.25, 0.5, 0.75, 0.95])
    assert np.abs(found - [2.2, 3.0, 4.0, 5.0, 5.8]).max() < 0.4
