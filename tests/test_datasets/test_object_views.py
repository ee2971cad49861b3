import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch.utils.data import DataLoader

from soco_mm.datasets import EpochSampler, ObjectViewDataset
from soco_mm.datasets.sampler import sample_rng
from soco_mm.engine.config import CONFIG_ROOT
from soco_mm.models import ViewDataPreprocessor
from soco_mm.utils import SoCoError


@pytest.fixture
def dataset(store, demo_images):
    cfg = Config.fromfile(CONFIG_ROOT / 'soco/soco_r50_fpn_100e.py')
    pipeline = cfg.train_dataloader.dataset.pipeline
    return ObjectViewDataset(str(demo_images), str(store), pipeline)


def test_samples_have_fixed_shapes(dataset):
    assert len(dataset) == 5
    for index in range(5):
        sample = dataset[index]
        assert [v.shape for v in sample['views']] == [
            (224, 224, 3),
            (224, 224, 3),
            (112, 112, 3),
        ]
        assert all(v.dtype == torch.uint8 for v in sample['views'])
        for boxes, valid in zip(sample['boxes'], sample['valid']):
            assert boxes.shape == (4, 4) and boxes.dtype == torch.float32
            assert valid.shape == (4,) and valid.dtype == torch.bool


def flat(sample):
    return torch.cat(
        [
            tensor.flatten().float()
            for group in ('views', 'boxes', 'valid')
            for tensor in sample[group]
        ]
    )


def test_sample_depends_on_seed_epoch_and_image_alone(dataset):
    first = flat(dataset[2])
    assert torch.equal(first, flat(dataset[2]))
    assert not torch.equal(first, flat(dataset[2 + 5]))  # the next epoch
    before = []
    for workers in (0, 2):
        sampler = EpochSampler(dataset, shuffle=True, seed=3)
        sampler.set_epoch(4)
        loader = DataLoader(dataset, 2, sampler=sampler, num_workers=workers)
        batches = [flat(batch) for batch in loader]
        if workers:
            assert all(map(torch.equal, before, batches))
        before = batches
    indices = list(sampler)
    assert sorted(i - 20 for i in indices) == list(range(5))
    dataset.seed = 1
    assert not torch.equal(first, flat(dataset[2]))


def test_unreadable_image_is_replaced_and_all_unreadable_are_refused(
    dataset, tmp_path, demo_images
):
    dataset.data_root = str(tmp_path)
    with pytest.raises(SoCoError, match='None of 5 images'):
        dataset[0]
    name = dataset.store.path(3)
    (tmp_path / name).write_bytes((demo_images / name).read_bytes())
    assert torch.equal(flat(dataset[0]), flat(dataset[3]))


def test_preprocessor_normalises_in_channels_last():
    batch = dict(
        views=[torch.full((2, 8, 8, 3), 128, dtype=torch.uint8)],
        boxes=[torch.zeros(2, 4, 4)],
        valid=[torch.ones(2, 4, dtype=torch.bool)],
    )
    (view,) = ViewDataPreprocessor()(batch)['views']
    assert view.shape == (2, 3, 8, 8)
    assert view.is_contiguous(memory_format=torch.channels_last)
    expected = (128 - np.array([123.675, 116.28, 103.53])) / [58.395, 57.12, 57.375]
    np.testing.assert_allclose(view[0, :, 0, 0], expected, rtol=1e-5)


def test_a_part_of_the_images_is_drawn_with_the_seed(store, demo_images):

    def paths(**kwargs):
        dataset = ObjectViewDataset(str(demo_images), str(store), [], **kwargs)
        return [
            dataset.get_data_info(index)['img_path'] for index in range(len(dataset))
        ]

    every = paths()
    some = paths(num_images=3)
    assert len(set(some)) == 3 and set(some) < set(every)
    assert some == paths(num_images=3) == sorted(some)
    assert any(paths(num_images=3, seed=seed) != some for seed in range(1, 9))
    assert paths(num_images=5) == every
    with pytest.raises(SoCoError, match='has proposals of 5'):
        paths(num_images=6)


def test_seeds_epochs_and_images_draw_different_numbers():
    numbers = {
        (seed, epoch, index): sample_rng(seed, epoch, index).random()
        for seed in range(3)
        for epoch in range(3)
        for index in range(3)
    }
    assert len(set(numbers.values())) == 27
    assert numbers[1, 2, 0] == sample_rng(1, 2, 0).random()
