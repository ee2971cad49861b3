"""The checkpoint with the best score, in trainings that are stopped and go on."""

from pathlib import Path

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

import soco_mm.engine.hooks  # noqa: F401
from soco_mm.engine.checkpoint_files import latest_checkpoint

SCORES = (1.0, 3.0, 2.0, 4.0)  # of the epochs


class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x, mode):
        return dict(loss=self.layer(x).sum()) if mode == 'loss' else [0]


class Score(BaseMetric):
    """Scores that are given; the second figure has its best in the second epoch."""

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        score = SCORES[self.runner.epoch - 1]
        return {'given': score, 'other': -abs(score - 3.0)}


class Watch(Hook):
    """What is there when the best checkpoint is written; stops in one of them."""

    def __init__(self, stop=None):
        self.stop, self.seen = stop, []

    def before_save_checkpoint(self, runner, checkpoint):
        hub = checkpoint['message_hub']['runtime_info']
        if 'optimizer' in checkpoint or hub.get('best_ckpt') is None:
            return
        self.seen.append(best_of(Path(runner.work_dir)))
        if str(hub['best_ckpt']).endswith(f'epoch_{self.stop}.pth'):
            raise KeyboardInterrupt


def best_of(folder):
    return sorted(path.name for path in (folder / 'checkpoints').glob('best*'))


def train(folder, metrics='test/given', stop=None):
    data = [dict(x=torch.ones(2))] * 2
    loader = torch.utils.data.DataLoader(data, 2)
    last, watch, metric = latest_checkpoint(folder), Watch(stop), Score(prefix='test')
    runner = Runner(
        model=Toy(),
        work_dir=str(folder),
        train_dataloader=loader,
        val_dataloader=loader,
        val_evaluator=[metric],
        val_cfg=dict(type='ValLoop'),
        train_cfg=dict(by_epoch=True, max_epochs=len(SCORES), val_interval=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(
            checkpoint=dict(
                type='soco_mm.AtomicCheckpointHook',
                interval=1,
                save_best=metrics,
                rule='greater',
            )
        ),
        custom_hooks=[watch, dict(type='soco_mm.ResumedEvaluationHook')],
        resume=last is not None,
        load_from=last and str(last),
        default_scope='soco_mm',
        experiment_name=f'{folder}_{stop}',
    )
    metric.runner = runner
    runner.train()
    return watch.seen


def test_the_one_before_stays_until_the_next_is_written(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop=2)
    first, second, last = (f'best_test_given_epoch_{epoch}.pth' for epoch in (1, 2, 4))
    assert best_of(tmp_path) == [first]
    torch.load(tmp_path / 'checkpoints' / first)
    assert train(tmp_path) == [[first], [second]]
    assert best_of(tmp_path) == [last]
    resumed = torch.load(latest_checkpoint(tmp_path))['message_hub']['runtime_info']
    assert resumed['best_ckpt'] == str(tmp_path / 'checkpoints' / last)
    assert resumed['best_score'] == 4.0


def test_what_a_kill_has_left_goes_with_the_next(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop=4)
    left = tmp_path / 'checkpoints/best_test_given_epoch_1.pth'
    left.write_bytes(b'of a kill just before it was removed')
    train(tmp_path)
    assert best_of(tmp_path) == ['best_test_given_epoch_4.pth']


def test_each_of_two_scores_keeps_its_own(tmp_path):
    train(tmp_path, metrics=['test/given', 'test/other'])
    assert best_of(tmp_path) == [
        'best_test_given_epoch_4.pth',
        'best_test_other_epoch_2.pth',
    ]
