"""What is wrong with a training is said, and nothing if it is healthy."""

import json
import time

import pytest
import small
from mmcv.transforms import BaseTransform
from mmengine.registry import MODELS, TRANSFORMS
from torch import nn

from soco_mm.engine.config import load_config
from soco_mm.engine.health_verdicts import judge
from soco_mm.engine.training import train_model
from soco_mm.errors import SoCoError

VIEWS = [
    dict(size=64),
    dict(size=64, source=0, crop_scale=(0.5, 1.0)),
    dict(size=32, source=1),
]
ADAMW = dict(type='AdamW', lr=1e-3, weight_decay=0.05)
INFO_NCE = dict(type='ObjectInfoNCELoss', temperature=0.2)


class NoPredictor(nn.Identity):
    """What SoCo must not be trained with."""


class SlowLoading(BaseTransform):
    """As from a disk that is far away."""

    def transform(self, results):
        time.sleep(0.3)
        return results


class ViewsApart(BaseTransform):
    """No proposal is visible in all views."""

    def transform(self, results):
        for visible in results['visible']:
            visible[:] = False
        return results


@pytest.fixture
def cfg(demo_images, store):
    MODELS.register_module(module=NoPredictor, force=True)
    TRANSFORMS.register_module(module=SlowLoading, force=True)
    TRANSFORMS.register_module(module=ViewsApart, force=True)
    cfg = load_config(small.SOCO)
    loader = cfg.train_dataloader
    loader.update(batch_size=5, num_workers=0, persistent_workers=False)
    loader.dataset.update(data_root=str(demo_images), proposals=str(store))
    loader.dataset.pipeline[1].views = VIEWS
    cfg.model.roi_head.bbox_roi_extractor.scale_bounds = [13, 27, 55, 64]
    cfg.param_scheduler = []
    cfg.default_hooks.checkpoint.interval = 1000
    return cfg


def train(cfg, out, steps):
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=steps)
    cfg.visualizer.save_dir = str(out)
    train_model(cfg, out, quiet=True)
    return verdicts(out)


def verdicts(out):
    found = json.loads((out / 'health.json').read_text())['verdicts']
    return {each['name']: each for each in found}


def test_without_a_predictor_the_collapse_is_said_once_and_at_the_end(
    cfg, tmp_path, capsys
):
    cfg.model.head.predictor = dict(type='mmengine.NoPredictor')
    found = train(cfg, tmp_path, 30)
    collapse = found['collapse']
    assert collapse['iter'] < 30
    assert collapse['sentence'].startswith('The features collapse: the spread')
    said = capsys.readouterr().out
    at = f'WARNING: Step {collapse["iter"]}: {collapse["sentence"]}'
    end = f'WARNING: Health, since step {collapse["iter"]}: {collapse["sentence"]}'
    assert said.count(at) == 1 and said.count(end) == 1
    (log,) = tmp_path.glob('*/*.log')
    assert log.read_text().count(collapse['sentence']) == 2


@pytest.mark.slow
def test_nothing_is_said_of_a_healthy_run_of_a_hundred_steps(cfg, tmp_path):
    cfg.optim_wrapper = dict(
        type='OptimWrapper', optimizer=ADAMW, clip_grad=dict(max_norm=1.0)
    )
    cfg.model.head.loss = INFO_NCE
    # How long loading takes is the machine's.
    assert not set(train(cfg, tmp_path, 100)) - {'data'}


def test_lars_in_a_short_run_moves_only_biases(cfg, tmp_path):
    cfg.optim_wrapper.optimizer.lr = 0.5
    found = train(cfg, tmp_path, 20)
    assert 'convolutions are within' in found['movement']['sentence']
    assert found['movement']['iter'] == 20


def test_a_learning_rate_a_thousand_times_too_large(cfg, tmp_path):
    cfg.optim_wrapper.optimizer.lr *= 1000
    found = train(cfg, tmp_path, 5)
    assert 'in a step' in found['learning_rate']['sentence']
    assert found['learning_rate']['iter'] <= 2


def test_a_loss_that_is_not_finite(cfg, tmp_path):
    cfg.optim_wrapper = dict(
        type='OptimWrapper', optimizer=dict(type='SGD', lr=1e30, momentum=0.9)
    )
    cfg.default_hooks.logger.interval = 1
    with pytest.raises(SoCoError, match='not finite'):
        train(cfg, tmp_path, 20)
    assert 'learning_rate' in verdicts(tmp_path)


def test_a_slow_loader(cfg, tmp_path):
    cfg.train_dataloader.dataset.pipeline.insert(1, dict(type='mmengine.SlowLoading'))
    found = train(cfg, tmp_path, 5)
    assert 'waits for data' in found['data']['sentence']
    # The first step is no waiting, and three rows are needed.
    assert found['data']['iter'] == 4


def test_views_without_common_boxes(cfg, tmp_path):
    cfg.train_dataloader.dataset.pipeline.insert(2, dict(type='mmengine.ViewsApart'))
    found = train(cfg, tmp_path, 4)
    assert '75 % of the proposals are masked' in found['objects']['sentence']


def test_figures_that_are_not_known_are_not_judged():
    rows = [dict(iter=i, waiting_share=None, movement_weights={}) for i in range(5)]
    assert judge(rows, 10) == [] == judge([], 10)


def test_what_weights_move_in_a_step_counts_all_its_iterations():
    """A step of 16 iterations that moves them by 30 % moves them as far as one of 1."""
    for accumulated in (1, 16):
        rows = [
            dict(
                iter=steps * accumulated,
                movement_weights=dict(backbone=0.3 * steps),
                learning_rate=1.0,
            )
            for steps in (1, 2)
        ]
        (found,) = judge(rows, 100 * accumulated, accumulated)
        assert found['name'] == 'learning_rate' and found['iter'] == 2 * accumulated
        assert '23 % of their norm in a step' in found['sentence']  # .3 / 1.3
    assert judge(rows, 1600) == []


def test_a_single_long_wait_is_none():
    rows = [dict(iter=i, waiting_share=0.7 if i == 2 else 0.0) for i in range(5)]
    assert judge(rows, 10) == []


def moved(weights, biases=0.0, steps=50):
    return dict(
        iter=steps,
        learning_rate=1.0,
        movement_weights=dict(backbone=weights / 2, neck=weights, head=None),
        movement_biases=dict(backbone=biases, neck=biases / 2),
    )


def spread(spread, rank):
    return dict(iter=1, spread_projections=spread, effective_rank_projections=rank)


@pytest.mark.parametrize(
    ('name', 'rows', 'healthy'),
    [
        # docs/judging.md: half of the training is over; 5 %, and three times as far.
        ('movement', [moved(0.049, 0.148)], [moved(0.051, 0.148)]),
        ('movement', [moved(0.049, 0.148)], [moved(0.049, 0.146)]),
        ('movement', [moved(0.049, 0.148)], [moved(0.049, 0.148, steps=49)]),
        ('learning_rate', [moved(5.1)], [moved(4.9)]),  # of 50 steps
        ('learning_rate', [moved(2.0, steps=1), moved(2.31, steps=2)],
         [moved(2.0, steps=1), moved(2.29, steps=2)]),  # a tenth of three times
        ('data', [dict(iter=1, waiting_share=0.31)] * 3,
         [dict(iter=1, waiting_share=0.29)] * 3),
        ('data', [dict(iter=1, waiting_share=0.31)] * 3,
         [dict(iter=1, waiting_share=0.31)] * 2),
        ('objects', [dict(iter=1, masked_share=0.51)] * 3,
         [dict(iter=1, masked_share=0.49)] * 3),
        ('collapse', [spread(0.8, 10), spread(0.149, 4.9)],
         [spread(0.8, 10), spread(0.151, 4.9)]),
        ('collapse', [spread(0.8, 10), spread(0.149, 4.9)],
         [spread(0.8, 10), spread(0.149, 5.1)]),
    ],
)  # fmt: skip
def test_each_threshold_is_the_documented_one(name, rows, healthy):
    assert [each['name'] for each in judge(rows, 100)] == [name]
    assert judge(healthy, 100) == []
