import shutil

import cv2
import numpy as np
import pytest

from soco_mm.proposals import Proposals, ProposalStore
from soco_mm.proposals.pixels import compare_sizes, sample_indices, scale_between
from soco_mm.utils import SoCoError


@pytest.fixture
def made(tmp_path):
    """A store of 100 images of 80x60 pixels, and their folder."""
    boxes = np.float32([[8, 6, 40, 30], [20, 12, 80, 60]])
    names = [f'{number:03d}.png' for number in range(100)]
    (tmp_path / 'images').mkdir()
    for name in names:
        write(tmp_path / 'images' / name, 80, 60)
    ProposalStore.write(
        tmp_path / 'store',
        dict(generator=dict(type='Imported')),
        (Proposals(name, boxes, (80, 60), 0) for name in names),
    )
    return tmp_path / 'images', ProposalStore.open(tmp_path / 'store')


def write(path, width, height):
    assert cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))


@pytest.mark.parametrize(
    'known, size, wanted',
    [
        ((640, 426), (320, 213), (0.5, 0.5)),
        ((640, 427), (320, 213), (0.5, 213 / 427)),
        ((100, 333), (10, 33), (0.1, 33 / 333)),
        ((10, 33), (101, 333), (10.1, 333 / 33)),
        ((640, 427), (6000, 4000), (9.375, 4000 / 427)),  # of a thumbnail
        ((427, 640), (4000, 6000), (4000 / 427, 9.375)),
        ((640, 430), (6000, 4000), None),
        ((640, 426), (640, 426), (1, 1)),
        ((640, 426), (426, 640), None),
        ((101, 100), (100, 101), None),
        ((640, 480), (640, 400), None),
        ((640, 480), (224, 224), None),
    ],
)
def test_boxes_scale_where_the_aspect_is_the_same(known, size, wanted):
    found = scale_between(known, size)
    assert found == (wanted and pytest.approx(wanted))


def test_samples_are_spread_over_the_whole():
    assert sample_indices(3) == [0, 1, 2]
    indices = sample_indices(10_000)
    assert len(indices) == 64 and indices[0] == 0 and indices[-1] == 9999
    assert set(np.diff(indices)) <= {158, 159}
    assert sample_indices(0) == []


def test_a_sample_of_the_whole_store_is_looked_at(made):
    images, store = made
    assert compare_sizes(store, str(images)) == []
    # Those that were resized, and one in the middle that was turned.
    for name in ('000.png', '099.png'):
        write(images / name, 40, 30)
    (note,) = compare_sizes(store, str(images))
    assert note == (
        '2 of 64 images looked at were resized since their proposals were '
        'made (000.png has 40x30 pixels, not 80x60); boxes are scaled'
    )
    index = sample_indices(100)[31]
    write(images / store.path(index), 60, 80)
    with pytest.raises(
        SoCoError,
        match=rf'{store.path(index)} has 60x80 pixels, but its proposals '
        'are for 80x60',
    ):
        compare_sizes(store, str(images))
    # It is none of these.
    assert len(compare_sizes(store, str(images), [0, 99])) == 1


def test_missing_images_are_counted_and_all_missing_refused(made):
    images, store = made
    (images / '000.png').unlink()
    (note,) = compare_sizes(store, str(images))
    assert note.startswith('1 of 64 images looked at are missing, for example 000.png')
    shutil.rmtree(images)
    with pytest.raises(SoCoError, match='There is no image .*000.png'):
        compare_sizes(store, str(images))
