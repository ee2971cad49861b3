"""Backbones that compute parts again to save memory (``with_cp``)."""

import json

import pytest
import small
import torch
from two_processes import in_two_processes

from soco_mm.engine.training import train_model

EPOCHS = {'train_cfg.max_epochs': 1}  # of two iterations


@pytest.mark.slow
def test_two_processes_train_the_same_with_and_without_it(
    store, demo_images, tmp_path, monkeypatch
):
    def train(rank):
        monkeypatch.setenv('LOCAL_RANK', str(rank))  # as a launcher does
        found = []
        for with_cp in (False, True):
            options = EPOCHS | {
                'model.backbone.with_cp': with_cp,
                'train_dataloader.batch_size': 1,
            }
            cfg = small.training(store, demo_images, options)
            out = tmp_path / f'run_{with_cp}'
            path = train_model(cfg, out, launcher='pytorch', quiet=True)
            found.append(torch.load(path)['state_dict'])
        return found

    (tmp_path / 'group').mkdir()
    (without, with_cp), _ = in_two_processes(train, tmp_path / 'group')
    for name, value in without.items():
        # Batch norms see what is computed again a second time.
        if 'running' not in name and 'tracked' not in name:
            torch.testing.assert_close(with_cp[name], value, msg=name)


@pytest.mark.slow
def test_a_compiled_training_is_watched_to_its_end(store, demo_images, tmp_path):
    """Its features are, by hooks that come after it is compiled."""
    cfg = small.training(store, demo_images, {'train_cfg.max_epochs': 10})
    cfg.param_scheduler = []
    cfg.compile = dict(backend='eager')
    train_model(cfg, tmp_path, quiet=True)
    rows = json.loads((tmp_path / 'health.json').read_text())['rows']
    assert len(rows) > 3
    assert all(each['effective_rank_head'] > 1 for each in rows)
