"""What a training computes with, and what it keeps of that."""

import json
from types import SimpleNamespace

import pytest
import small
import torch
from commands import call, refusal
from mmcv.ops import RoIAlign
from mmengine.config import Config
from mmengine.logging import MessageHub

from soco_mm.engine.config import load_config
from soco_mm.engine.hooks import DeferredRuntimeInfoHook
from soco_mm.engine.optim_wrappers import BFloat16OptimWrapper
from soco_mm.engine.precision import (
    BFLOAT16,
    MIXED,
    PLAIN,
    adapt_precision,
    choose_wrapper,
    set_precision,
)
from soco_mm.models.losses import ObjectCosineLoss
from soco_mm.registry import OPTIM_WRAPPERS
from soco_mm.utils import UsageError

VIEWS = [
    f'train_dataloader.dataset.pipeline.1.views.{number}.size={size}'
    for number, size in enumerate((64, 64, 32))
]


@pytest.mark.parametrize(
    'asked, gpu, native, wrapper, says',
    [
        ('None', True, True, MIXED, ''),  # float16 with a scaler
        ('float16', True, False, MIXED, ''),
        ('bfloat16', True, True, BFLOAT16, ''),
        ('bfloat16', True, False, BFLOAT16, 'fp16 is faster'),
        ('bfloat16', False, True, BFLOAT16, ''),
        ('bfloat16', False, False, BFLOAT16, 'float32 is faster'),
        ('None', False, True, BFLOAT16, 'mixed precision is bfloat16'),
        ('float16', False, False, PLAIN, 'mixed precision is off'),
    ],
)
def test_each_machine_gets_a_wrapper_that_works_there(
    asked, gpu, native, wrapper, says
):
    found, note = choose_wrapper(asked, gpu, native)
    assert found == wrapper
    assert says in note and bool(says) == bool(note)


@pytest.mark.parametrize('name', ['soco_r50_fpn_100e', 'soco_r18_fpn_quick'])
def test_a_precision_replaces_that_of_the_recipe(name):
    cfg = load_config(name)
    cfg.optim_wrapper.update(loss_scale=512.0, accumulative_counts=2)
    optimizer = cfg.optim_wrapper.optimizer.to_dict()
    set_precision(cfg, None)
    assert cfg.optim_wrapper.loss_scale == 512.0
    set_precision(cfg, 'bf16')
    expected = dict(optimizer=optimizer, accumulative_counts=2)
    assert cfg.optim_wrapper.to_dict() == dict(expected, type=MIXED, dtype='bfloat16')
    adapt_precision(cfg)
    assert cfg.optim_wrapper.to_dict() == dict(expected, type=BFLOAT16)
    set_precision(cfg, 'float32')
    assert cfg.optim_wrapper.to_dict() == dict(expected, type=PLAIN)


def test_what_does_not_exist_here_is_refused():
    cfg = load_config('soco_r50_fpn_100e')
    with pytest.raises(UsageError, match='no precision fp8. Choose float32, bf16'):
        set_precision(cfg, 'fp8')
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match='float16 is for GPUs'):
            set_precision(cfg, 'fp16')


@pytest.mark.parametrize('name', ['BFloat16OptimWrapper', 'CPUAmpOptimWrapper'])
def test_bfloat16_computes_layers_but_neither_roi_align_nor_the_loss(name, small_model):
    model, seen = small_model.train(), {}
    optimizer = torch.optim.SGD(model.online_net.parameters(), lr=0.1)
    wrapper = OPTIM_WRAPPERS.build(dict(type=name, optimizer=optimizer))
    assert type(wrapper) is BFloat16OptimWrapper

    def watch(key):
        def note(module, inputs, output):
            found = output if torch.is_tensor(output) else next(iter(output))
            seen.setdefault(key, set()).add(found.dtype)

        return note

    model.backbone.layer1.register_forward_hook(watch('layer'))
    for module in model.modules():
        if isinstance(module, RoIAlign):
            module.register_forward_hook(watch('roi_align'))
        if isinstance(module, ObjectCosineLoss):
            module.register_forward_hook(watch('loss'))
    torch.manual_seed(0)
    views = [torch.randn(4, 3, size, size) for size in (64, 64, 32)]
    whole = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(4, 4, 4)
    boxes = [whole * view.shape[-1] / 2 for view in views]
    valid = [torch.ones(4, 4, dtype=torch.bool)] * 3
    plain = model.loss(views, boxes, valid)['loss']
    seen.clear()
    with wrapper.optim_context(model):
        loss = model.loss(views, boxes, valid)['loss']
    assert loss.item() == pytest.approx(plain.item(), abs=0.1)
    assert seen['layer'] == {torch.bfloat16}
    assert seen['roi_align'] == seen['loss'] == {torch.float32}
    before = model.backbone.conv1.weight.clone()
    wrapper.update_params(loss)
    assert not torch.equal(model.backbone.conv1.weight, before)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert 'loss_scaler' not in wrapper.state_dict()


def test_norms_of_clipped_gradients_are_read_with_the_losses():
    """All steps and logged norms are those of MMEngine, which reads each at once."""

    def train(type_):
        torch.manual_seed(0)
        model = torch.nn.Linear(4, 1)
        hub = MessageHub.get_instance(f'norms of {type_}')
        wrapper = OPTIM_WRAPPERS.build(
            dict(
                type=type_,
                optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
                clip_grad=dict(max_norm=0.5),
            )
        )
        wrapper.message_hub = hub
        hook = DeferredRuntimeInfoHook()
        hook.pending, hook.interval = [], 4
        runner = SimpleNamespace(
            optim_wrapper=wrapper, message_hub=hub, train_dataloader=range(8)
        )
        kept = []
        for step in range(8):
            loss = model(torch.randn(3, 4) * step).square().mean()
            wrapper.update_params(loss)
            hook.after_train_iter(runner, step, outputs=dict(loss=loss))
            kept.append(len(hook.pending))
        assert kept == [1, 2, 3, 0] * 2
        return model.state_dict(), hub.get_scalar('train/grad_norm').data[0]

    (ours, norms), (theirs, read) = map(train, ('BFloat16OptimWrapper', 'OptimWrapper'))
    assert norms.tolist() == read.tolist() and len(norms) == 8 and norms.max() > 0.5
    for name, value in theirs.items():
        assert torch.equal(ours[name], value)


def test_a_run_keeps_no_scaler_and_goes_on_in_another_precision(
    store, demo_images, tmp_path, capsys
):
    out = tmp_path / 'run'
    command = [
        *(small.SOCO, '--work-dir', out, '--cfg-options', *VIEWS),
        f'train_dataloader.dataset.data_root={demo_images}',
        f'train_dataloader.dataset.proposals={store}',
        *('train_dataloader.batch_size=2', 'train_dataloader.num_workers=0'),
        'train_dataloader.persistent_workers=False',
    ]

    def train(epochs, *arguments):
        done = call(
            capsys,
            *command,
            f'train_cfg.max_epochs={epochs}',
            *arguments,
            tool='tools/train.py',
        )
        assert done.returncode == 0, done.stderr
        return torch.load(out / f'checkpoints/epoch_{epochs}.pth')

    first = train(1, '--precision', 'bf16')
    assert 'loss_scaler' not in first['optimizer']
    # As of a run that was begun in float16.
    first['optimizer']['loss_scaler'] = dict(scale=1024.0, growth_factor=2.0)
    torch.save(first, out / 'checkpoints/epoch_1.pth')
    second = train(2, '--resume', '--precision', 'bf16')
    assert second['meta']['iter'] == 2 * first['meta']['iter']
    assert 'loss_scaler' not in second['optimizer']
    third = train(3, '--resume', '--precision', 'float32')
    assert third['meta']['epoch'] == 3
    # Runs that begin in one second share a folder of logs.
    types = [
        Config.fromstring(each['meta']['cfg'], '.py').optim_wrapper.type
        for each in (first, second, third)
    ]
    assert types == [BFLOAT16, BFLOAT16, PLAIN]
    losses = [
        json.loads(line)['loss']
        for path in sorted(out.glob('*/vis_data/scalars.json'))
        for line in path.read_text().splitlines()
        if 'loss' in line
    ]
    assert all(-8 <= each <= 8 for each in losses)


def test_the_tool_takes_one_of_amp_and_precision(tmp_path, capsys):
    code, said = refusal(
        capsys, small.SOCO, '--amp', '--precision', 'bf16', tool='tools/train.py'
    )
    assert code == 2 and 'not allowed with' in said


def test_a_precision_is_not_set_twice(demo_images, tmp_path, capsys):
    code, said = refusal(
        capsys,
        *('pretrain', demo_images, '--out', tmp_path / 'run', '--precision', 'bf16'),
        *('--cfg-options', 'optim_wrapper.type=OptimWrapper'),
    )
    assert code == 2 and '--precision and --cfg-options optim_wrapper.type' in said
