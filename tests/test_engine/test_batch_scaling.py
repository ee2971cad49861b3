"""A recipe with another batch: accumulation, learning rate, target momentum."""

import copy
import json
from math import cos, pi, sqrt

import commands
import cv2
import pytest
import small
import torch
from mmengine.hooks import Hook

from soco_mm import make_proposals
from soco_mm.engine.batch_scaling import scale_learning_rate, scale_momentum, set_batch
from soco_mm.engine.config import load_config
from soco_mm.engine.runtime import build_runner, unwrap_model
from soco_mm.engine.schedules import set_epochs
from soco_mm.registry import HOOKS
from soco_mm.utils import UsageError

IMAGES, EPOCHS = 16, 3
GN = dict(_delete_=True, type='GN', num_groups=4)


@HOOKS.register_module()
class RecordSteps(Hook):
    """Loss of each iteration; learning rate and momentum of each step."""

    priority = 'VERY_LOW'

    def __init__(self):
        self.losses, self.rates, self.momenta = [], [], []

    def before_train_iter(self, runner, *args, **kwargs):
        self.rate = runner.optim_wrapper.get_lr()['lr'][0]

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append(float(outputs['loss']))
        if runner.optim_wrapper.should_update():
            self.rates.append(self.rate)
            target = unwrap_model(runner.model).target_net
            steps = EPOCHS * IMAGES // 8
            self.momenta.append(target.momentum_at(int(target.steps), steps))


@pytest.fixture(scope='module')
def data(tmp_path_factory, pytestconfig):
    """A folder of 16 images, copies of the five photos, and its proposals."""
    folder = tmp_path_factory.mktemp('data')
    photos = sorted((pytestconfig.rootpath / 'demo/images').glob('*.jpg'))
    (folder / 'images').mkdir()
    for index in range(IMAGES):
        photo = photos[index % len(photos)]
        image = cv2.resize(cv2.imread(str(photo)), (160, 120))
        cv2.imwrite(str(folder / f'images/{index:02d}.png'), image)
    make_proposals(folder / 'images', folder / 'store', num_workers=1)
    return folder


def train(data, out, batch, accumulate=None, auto_scale=None, **options):
    cfg = load_config(small.SOCO, copy.deepcopy(options))
    loader = cfg.train_dataloader
    loader.update(batch_size=batch, num_workers=0, persistent_workers=False)
    loader.dataset.update(
        data_root=str(data / 'images'), proposals=str(data / 'store'), seed=0
    )
    for view, size in zip(loader.dataset.pipeline[1].views, (64, 64, 32)):
        view.size = size
    set_batch(cfg, auto_scale, accumulate)
    set_epochs(cfg, EPOCHS, IMAGES // batch)
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type='RecordSteps')]
    cfg.default_hooks.checkpoint = None
    cfg.work_dir = str(out)
    scale_momentum(cfg)
    torch.manual_seed(0)
    runner = build_runner(cfg)
    scale_learning_rate(runner, cfg)
    runner.train()
    record = next(hook for hook in runner.hooks if isinstance(hook, RecordSteps))
    return unwrap_model(runner.model), record


def test_accumulation_trains_as_a_batch_of_the_same_images(data, tmp_path):
    """With group norm, which does not see which images are in a batch."""
    whole_model, whole = train(data, tmp_path / 'whole', 8, norm=GN)
    model, parts = train(data, tmp_path / 'parts', 4, accumulate=2, norm=GN)
    steps = EPOCHS * IMAGES // 8
    assert len(whole.losses) == steps and len(parts.losses) == 2 * steps
    halves = torch.tensor(parts.losses).view(-1, 2)
    assert halves.mean(1).tolist() == pytest.approx(whole.losses, abs=2e-5)
    assert (halves[:, 0] - halves[:, 1]).abs().min() > 1e-3  # other images
    assert parts.rates == pytest.approx(whole.rates, rel=1e-12)
    assert len(set(parts.rates)) == steps - 1  # the peak is there twice
    assert parts.momenta == whole.momenta
    assert int(model.target_net.steps) == steps
    for (name, ours), theirs in zip(model.named_parameters(), whole_model.parameters()):
        assert torch.allclose(ours, theirs, atol=1e-4, rtol=1e-3), name


@pytest.mark.parametrize(
    ('optimizer', 'factor'),
    [
        (dict(type='LARS', lr=2.0), 8 / 128),
        (dict(_delete_=True, type='AdamW', lr=2.0), sqrt(8 / 128)),
    ],
)
def test_rate_and_momentum_follow_the_images_of_a_step(
    data, tmp_path, optimizer, factor
):
    model, record = train(
        data,
        tmp_path,
        4,
        accumulate=2,
        auto_scale=True,
        **{
            'auto_scale_lr.base_batch_size': 128,
            'optim_wrapper.optimizer': optimizer,
            'param_scheduler.0.start_factor': 1.0,
        },
    )
    assert record.rates[0] == pytest.approx(2.0 * factor)
    steps = EPOCHS * IMAGES // 8
    expected = [
        (1 - (1 - 0.99) * (cos(pi * k / steps) + 1) / 2) ** (8 / 128)
        for k in range(1, steps + 1)
    ]
    assert record.momenta == pytest.approx(expected, rel=1e-12)
    assert model.target_net.exponent == 8 / 128


def test_a_scaled_average_spans_as_many_images():
    """Busbridge et al.: kappa times fewer images a step, tau^kappa."""
    from soco_mm.models import CosineEMA

    online = torch.nn.Linear(1, 1, bias=False)
    large, little = CosineEMA(online, 0.9), CosineEMA(online, 0.9, exponent=1 / 8)
    with torch.no_grad():
        online.weight += 1
    before = float(large.module.weight)
    large.update_parameters(online, 1, 10**9)
    for _ in range(8):
        little.update_parameters(online, 1, 10**9)
    moved = [float(each.module.weight) - before for each in (large, little)]
    assert moved == pytest.approx([0.1, 0.1], rel=1e-5)


def test_without_the_option_the_recipe_stays_as_it_is():
    cfg = load_config('soco_r50_fpn_100e')
    before = cfg.to_dict()
    set_batch(cfg, None, None)
    scale_momentum(cfg)
    assert cfg.to_dict() == before


def test_what_cannot_be_scaled_is_refused():
    cfg = load_config('soco_r50_fpn_100e')
    cfg.model.type = 'mmselfsup.BYOL'
    with pytest.raises(UsageError, match='mmselfsup.BYOL has no momentum'):
        set_batch(cfg, True, None)
    cfg = load_config('soco_r50_fpn_100e')
    cfg.pop('auto_scale_lr')
    with pytest.raises(UsageError, match='does not say which batch'):
        set_batch(cfg, True, None)


def test_options_of_the_batch_reach_a_training_from_its_config(data, tmp_path, capsys):
    done = commands.call(
        capsys,
        small.SOCO,
        *('--work-dir', tmp_path, '--accumulate', 2, '--auto-scale', '--cfg-options'),
        f'train_dataloader.dataset.data_root={data}/images',
        f'train_dataloader.dataset.proposals={data}/store',
        'train_dataloader.batch_size=4',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        'train_cfg.max_epochs=1',
        'param_scheduler.0.start_factor=1.0',
        'default_hooks.logger.interval=1',
        *(
            f'train_dataloader.dataset.pipeline.1.views.{view}.size={size}'
            for view, size in enumerate((64, 64, 32))
        ),
        tool='tools/train.py',
    )
    assert done.returncode == 0, done.stderr
    assert 'A step has 8 images, the recipe is for 16' in done.stdout + done.stderr
    (scalars,) = tmp_path.glob('**/scalars.json')
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    assert rows[0]['lr'] == pytest.approx(2.0 * 8 / 16)
    state = torch.load(tmp_path / 'checkpoints/epoch_1.pth')['state_dict']
    assert state['target_net.steps'] == 2  # 16 images
