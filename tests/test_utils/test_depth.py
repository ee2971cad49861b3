from pathlib import Path

import cv2
import numpy as np
import pytest

from soco_mm.utils.depth import count_levels, find_depth_loss

FIELD = Path(__file__).parents[3] / 'shared/field'


def test_images_of_a_narrow_range_are_named_with_their_levels(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(5):
        image = rng.integers(51200, 51200 + 256 * (number + 2), (40, 50))
        cv2.imwrite(str(tmp_path / f'{number}.png'), image.astype(np.uint16))
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((40, 50), np.uint8))
    (tmp_path / 'broken.png').write_bytes(b'')
    names = sorted(path.name for path in tmp_path.iterdir())
    loss = find_depth_loss(str(tmp_path), names)
    before = count_levels(
        cv2.imread(str(tmp_path / '0.png'), cv2.IMREAD_UNCHANGED)[..., None]
    )
    assert loss == ('0.png', 2, before, 5, 7)
    assert loss.describe() == (
        'WARNING: 5 of 7 images looked at have more than 8 bits, of which '
        f'they use a small range: with 8 bits, 2 grey levels of {before} are '
        'left of 0.png. Use the whole range with --stretch 0.5 99.5'
    )


def test_nothing_is_said_of_images_that_lose_little(tmp_path):
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 65536, (40, 50)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / 'wide.png'), wide)
    # A mask has few levels before as well.
    cv2.imwrite(str(tmp_path / 'mask.png'), (wide > 9999) * np.uint16(65535))
    cv2.imwrite(str(tmp_path / 'plain.png'), np.zeros((40, 50), np.uint8))
    names = ['wide.png', 'mask.png', 'plain.png']
    assert find_depth_loss(str(tmp_path), names) is None
    assert find_depth_loss(str(tmp_path), []) is None


def test_thermal_images_of_the_field():
    if not FIELD.is_dir():
        pytest.skip('needs ../shared/field')
    folder = FIELD / '21b-thermal-narrow-range/img'
    names = sorted(path.name for path in folder.iterdir())
    loss = find_depth_loss(str(folder), names)
    assert (loss.path, loss.levels, loss.num_images) == ('t2.png', 3, 4)
