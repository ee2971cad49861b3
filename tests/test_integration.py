"""The real commands, as a user types them."""

import json
import math
import os
import shutil
import sys
from pathlib import Path

import pytest
import small
import torch
from commands import ROOT, SOCO_MM, call, free_port, refusal, run, run_and_kill

from soco_mm.utils import exclusive

VIEWS = [
    f'train_dataloader.dataset.pipeline.1.views.{i}.size={size}'
    for i, size in enumerate((96, 96, 48))
]
PRETRAIN = [
    'pretrain',
    ROOT / 'demo/images',
    *('--config', small.SOCO, '--batch-size', 2, '--epochs', 4, '--workers', 1),
    '--cfg-options',
    'default_hooks.logger.interval=1',
    *[f'{key}={value}' for key, value in small.USUAL_FPN.items()],
    *VIEWS,
]


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """An undisturbed run."""
    out = tmp_path_factory.mktemp('undisturbed') / 'RUN'
    return out, run([*SOCO_MM, *PRETRAIN, '--out', out]).stdout


def test_run_holds_everything_and_names_what_to_use_next(finished):
    out, printed = finished
    for name in (
        'proposals/header.json',
        'preview.png',
        'checkpoints/epoch_4.pth',
        'exported/soco_weights.pth',
        'exported/mask-rcnn_fpn_1x_coco.py',
        'exported/report.json',
        'vis_data/scalars.json',
        'retrieval.json',
        'soco_small.py',
    ):
        assert (out / name).is_file(), name
    for name in (
        'preview.png',
        'checkpoints/epoch_4.pth',
        'exported/mask-rcnn_fpn_1x_coco.py',
    ):
        assert str(out / name) in printed
    rows = [
        json.loads(line)
        for line in (out / 'vis_data/scalars.json').read_text().splitlines()
    ]
    assert [row['step'] for row in rows] == list(range(1, 9))
    assert all(-8 <= row['loss'] <= 8 for row in rows)
    assert list(out.glob('*/*.log'))
    assert 'Objects found again in another view: ' in printed
    assert 'Effective rank of object features: ' in printed
    assert f'soco-mm report {out}' in printed
    state = torch.load(out / 'checkpoints/epoch_4.pth')['state_dict']
    assert state['target_net.steps'] == 8


@pytest.mark.slow
def test_killed_and_resumed_run_ends_like_an_undisturbed_one(
    finished, tmp_path, capsys
):
    out = tmp_path / 'RUN'
    command = [*PRETRAIN, '--out', out]
    run_and_kill([*SOCO_MM, *command], 'epoch_3.pth', tmp_path)
    assert (out / 'checkpoints/epoch_2.pth').is_file()
    # What a kill in the middle of writing leaves.
    assert (out / 'checkpoints/epoch_3.pth.partial').is_file()
    assert not (out / 'exported').exists()

    code, said = refusal(capsys, *command)
    assert code == 2 and '--resume' in said
    stamp = (out / 'proposals/boxes.npy').stat().st_mtime_ns
    printed = run([*SOCO_MM, *command, '--resume']).stdout
    assert 'Resumed after epoch 2/4' in printed
    assert 'made before' in printed
    assert (out / 'proposals/boxes.npy').stat().st_mtime_ns == stamp
    assert not list(out.rglob('*.partial'))

    ours, theirs = (
        torch.load(folder / 'checkpoints/epoch_4.pth') for folder in (out, finished[0])
    )
    assert ours['state_dict'].keys() == theirs['state_dict'].keys()
    for name, value in theirs['state_dict'].items():
        assert torch.equal(value, ours['state_dict'][name]), name
    for key, state in theirs['optimizer']['state'].items():
        assert torch.equal(
            state['momentum_buffer'], ours['optimizer']['state'][key]['momentum_buffer']
        )
    assert ours['param_schedulers'] == theirs['param_schedulers']
    ours, theirs = (
        json.loads((folder / 'retrieval.json').read_text())
        for folder in (out, finished[0])
    )
    assert set(ours) == {'before', 'after'} and ours == theirs


def test_another_run_and_foreign_files_are_left_alone(finished, tmp_path, capsys):
    out, _ = finished
    for options, words in (
        (['--epochs', '3', '--resume'], 'was started with epochs=4, now 3'),
        (['--preset', 'released', '--resume'], 'preset=paper, now released'),
        (['--epochs', '5'], 'started with epochs=4, now 5). Continue it with --resume'),
    ):
        code, said = refusal(capsys, *PRETRAIN, '--out', out, *options)
        assert code == 2 and words in said
        assert '--overwrite' not in said
    (tmp_path / 'thesis.txt').write_text('mine')
    for flags in ([], ['--resume'], ['--overwrite']):
        code, said = refusal(capsys, *PRETRAIN, '--out', tmp_path, *flags)
        assert code == 2 and 'is not a run' in said
    assert (tmp_path / 'thesis.txt').read_text() == 'mine'


def test_a_finished_run_becomes_longer_without_its_flags(finished, tmp_path, capsys):
    out = tmp_path / 'RUN'
    shutil.copytree(finished[0], out)
    command = ['pretrain', '--out', out]
    printed = call(capsys, *command, '--resume', '--epochs', '5').stdout
    assert 'Resumed with other settings: epochs=4, now 5' in printed
    assert '4 of 5 epochs are done' in printed
    state = torch.load(out / 'checkpoints/epoch_5.pth')['state_dict']
    assert state['target_net.steps'] == 10
    rows = [
        json.loads(line)
        for line in (out / 'vis_data/scalars.json').read_text().splitlines()
    ]
    # The cosine of 5 epochs, of which the first is the warm-up, at its end.
    assert [row['step'] for row in rows[-2:]] == [9, 10]
    assert rows[-1]['lr'] == pytest.approx(
        1e-6 + (2 - 1e-6) * (1 + math.cos(math.pi * 7 / 8)) / 2
    )
    code, said = refusal(capsys, *command, '--epochs', '5')
    assert code == 2 and 'images' in said


@pytest.mark.slow
def test_mmdetection_trains_mask_rcnn_from_the_export(finished, tmp_path):
    import mmdet

    demo = (ROOT / 'demo/mask-rcnn_photos.py').read_text()
    demo = demo.replace(
        "'../work_dirs/quickstart/exported/mask-rcnn_fpn_1x_coco.py'",
        repr(str(finished[0] / 'exported/mask-rcnn_fpn_1x_coco.py')),
    )
    demo = demo.replace("'{{ fileDirname }}/'", repr(f'{ROOT}/demo/'))
    config = tmp_path / 'config.py'
    config.write_text(demo)
    train = Path(mmdet.__file__).parent / '.mim/tools/train.py'
    work_dir = tmp_path / 'work_dir'
    result = run(
        [
            sys.executable,
            train,
            config,
            '--work-dir',
            work_dir,
            '--cfg-options',
            'train_cfg.max_epochs=1',
            'train_cfg.val_interval=1',
            'resize.scale=(96,96)',
            'train_pipeline.2.scale=(96,96)',
            'train_dataloader.dataset.pipeline.2.scale=(96,96)',
            'train_dataloader.num_workers=0',
            'train_dataloader.persistent_workers=False',
        ]
    )
    assert (
        'Load checkpoint from ' + str(finished[0] / 'exported/soco_weights.pth')
        in result.stdout
    )
    assert 'coco/bbox_mAP' in result.stdout
    assert (work_dir / 'epoch_1.pth').is_file()


def test_checkpoint_of_another_architecture_is_not_resumed(finished, tmp_path, capsys):
    out, _ = finished
    command = [small.SOCO, '--work-dir', tmp_path]
    command += ['--resume', out / 'checkpoints/epoch_4.pth', '--cfg-options']
    command += [
        f'train_dataloader.dataset.data_root={ROOT}/demo/images',
        f'train_dataloader.dataset.proposals={out}/proposals',
        'train_dataloader.batch_size=2',
        *[f'{key}={value}' for key, value in small.USUAL_FPN.items()],
    ]
    for option, words in (
        (
            'model.backbone.depth=34',
            'not a checkpoint of this training: missing tensor backbone.',
        ),
        ('model.backbone.depht=34', 'cannot be built'),
    ):
        code, said = refusal(capsys, *command, option, tool='tools/train.py')
        assert code == 1 and words in said
    assert 'depht' in said
    assert not list(tmp_path.glob('checkpoints/*'))


@pytest.mark.slow
def test_two_processes_train_on_the_cpu_from_given_weights(finished, tmp_path):
    out, _ = finished
    result = run(
        [
            'bash',
            'tools/dist_train.sh',
            small.SOCO,
            '2',
            '--work-dir',
            tmp_path,
            '--cfg-options',
            f'train_dataloader.dataset.data_root={ROOT}/demo/images',
            f'train_dataloader.dataset.proposals={out}/proposals',
            'train_dataloader.batch_size=2',
            'train_dataloader.num_workers=0',
            'train_dataloader.persistent_workers=False',
            'train_cfg.max_epochs=1',
            'param_scheduler.0.end=1',
            'default_hooks.logger.interval=1',
            f'init_weights={out}/checkpoints/epoch_4.pth',
            *VIEWS,
        ],
        env=dict(
            os.environ,
            PYTHON=sys.executable,
            OMP_NUM_THREADS='1',
            PORT=str(free_port()),
        ),
    )
    assert f'The last checkpoint is {tmp_path}' in result.stdout
    checkpoint = torch.load(tmp_path / 'checkpoints/epoch_1.pth')
    assert checkpoint['state_dict']['target_net.steps'] == 1  # 5 images, 2 on each
    backbone = json.loads((tmp_path / 'init.json').read_text())['parts']['backbone']
    assert len(backbone['filled']) == backbone['total'] > 0
    # What a detector's config and an export read.
    assert (
        "norm_cfg=dict(requires_grad=True, type='SyncBN')" in checkpoint['meta']['cfg']
    )


def test_usage_errors_have_one_sentence_and_exit_code_2(tmp_path, capsys):
    (tmp_path / 'empty').mkdir()
    for arguments, message in (
        ([tmp_path / 'none'], 'no folder'),
        ([tmp_path / 'empty'], 'no image'),
        ([ROOT / 'demo/images', '--epochs', '0'], 'at least 1'),
        ([ROOT / 'demo/images', '--config', 'nope'], 'no config'),
        ([ROOT / 'demo/images', '--batch-size', '1'], 'at least 2'),
        ([ROOT / 'demo/images', '--cfg-options', 'modle'], 'KEY=VALUE'),
        ([ROOT / 'demo/images', '--cfg-options', 'modle.x=1'], 'modle.x'),
    ):
        code, said = refusal(capsys, 'pretrain', *arguments, '--out', tmp_path / 'RUN')
        assert code == 2
        assert message in said
        assert not (tmp_path / 'RUN').exists()
    code, said = refusal(
        capsys,
        small.SOCO,
        *('--work-dir', tmp_path / 'W', '--cfg-options'),
        f'train_dataloader.dataset.proposals={tmp_path}/none',
        tool='tools/train.py',
    )
    assert code == 1
    assert 'soco-mm proposals' in said.splitlines()[-1]


def test_gradient_accumulation_scales_the_rate_and_counts_steps(
    finished, tmp_path, capsys
):
    command = [
        small.SOCO,
        '--work-dir',
        tmp_path,
        '--amp',
        '--cfg-options',
        f'train_dataloader.dataset.data_root={ROOT}/demo/images',
        f'train_dataloader.dataset.proposals={finished[0]}/proposals',
        'train_dataloader.batch_size=1',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        'train_cfg.max_epochs=2',
        'optim_wrapper.accumulative_counts=2',
        'auto_scale_lr.enable=True',
        'auto_scale_lr.base_batch_size=8',
        'param_scheduler.0.start_factor=1.0',
        'randomness.deterministic=True',
        'default_hooks.logger.interval=2',
        *VIEWS,
    ]
    result = run([sys.executable, 'tools/train.py', *command])
    assert 'mixed precision is' in result.stdout
    (scalars,) = tmp_path.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    # lr 2.0 for 8 images, two of one image a step.
    assert rows[0]['lr'] == pytest.approx(2.0 * 2 / 8)
    checkpoint = torch.load(tmp_path / 'checkpoints/epoch_2.pth')
    # Of 8 iterations: the fifth image of an epoch fills no step.
    assert checkpoint['state_dict']['target_net.steps'] == 4
    # Each iteration's loss is kept, though read only when logged.
    losses, _ = checkpoint['message_hub']['log_scalars']['train/loss']
    assert len(losses) == 8 and len(set(losses)) > 4
    # The logger gives the mean over the last 50 iterations.
    window = losses[: rows[-1]['step']]
    assert rows[-1]['loss'] == pytest.approx(sum(window) / len(window))

    code, said = refusal(capsys, *command, tool='tools/train.py')
    assert code == 2 and '--resume' in said
    with exclusive(tmp_path, 'a run', inside=True):
        code, said = refusal(capsys, *command, '--resume', tool='tools/train.py')
    assert code == 2 and 'Another process is making a run' in said


def test_pretrain_takes_proposals_made_before_and_any_detector(
    finished, tmp_path, capsys
):
    store = finished[0] / 'proposals'
    out = tmp_path / 'RUN'
    detector = tmp_path / 'retinanet.py'
    detector.write_text("""
_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
model = dict(
    backbone=dict(depth=18, base_channels=16), neck=dict(in_channels=[16, 32, 64, 128]))
""")
    command = [*PRETRAIN, '--out', out, '--proposals', store, '--epochs', '1']
    printed = call(capsys, *command, '--adapt', '--detector', detector).stdout
    assert 'made before (5 images' in printed
    assert not (out / 'proposals').exists()
    assert str(out / 'exported/retinanet.py') in printed
    assert (out / 'exported/retinanet.py').is_file()
    (tmp_path / 'others').mkdir()
    shutil.copy(ROOT / 'demo/images/coins.jpg', tmp_path / 'others/other.jpg')
    command = ['pretrain', tmp_path / 'others', '--out', tmp_path / 'no']
    code, said = refusal(capsys, *command, '--proposals', store)
    assert code == 2
    assert 'astronaut.jpg is not in' in said.splitlines()[-1]
    assert not (tmp_path / 'no').exists()


def test_summary_of_the_demo_reads_what_a_run_leaves(finished, tmp_path):
    out = tmp_path / 'RUN'
    shutil.copytree(finished[0], out)
    detector = out / 'detector'
    detector.mkdir()
    (detector / 'metrics.json').write_text(
        '{"coco/bbox_mAP": 0.25, "coco/segm_mAP": 0.125}'
    )
    (detector / 'predictions.png').touch()
    printed = run([sys.executable, ROOT / 'demo/summary.py', out]).stdout
    assert 'proposals of 5 photos' in printed
    assert 'box AP 25.0, mask AP 12.5' in printed
    assert f'xdg-open {detector}/predictions.png' in printed
    assert 'backbone 120/120' in printed


@pytest.mark.slow
def test_finetune_trains_what_a_run_exported(finished, tmp_path, capsys):
    out = tmp_path / 'a detector'
    command = [
        'finetune',
        finished[0] / 'exported',
        '--data',
        ROOT / 'demo/instances.json',
        '--images',
        ROOT / 'demo/images',
        '--val',
        ROOT / 'demo/instances.json',
        '--out',
        out,
        '--epochs',
        '1',
        '--scale',
        '64',
        '64',
        '--workers',
        '0',
        '--cfg-options',
        'model.train_cfg.rcnn.sampler.num=16',
        'model.test_cfg.rpn.max_per_img=20',
    ]
    printed = call(capsys, *command).stdout
    assert 'Training MaskRCNN on 5 images with 32 objects with masks' in (printed)
    for name in (
        'best.pth',
        'metrics.json',
        'predictions.png',
        'vis_data/scalars.json',
    ):
        assert str(out / name) in printed and (out / name).is_file()
    code, said = refusal(capsys, *command)
    assert code == 2 and '--resume' in said
    code, said = refusal(capsys, *command, 'model.test_cfg.rnp.max_per_img=20')
    assert code == 2 and 'does not exist' in said.splitlines()[-1]


def test_the_checkpoint_of_a_run_is_exported_for_other_libraries(
    finished, tmp_path, capsys
):
    pytest.importorskip('safetensors')
    export = ['export', finished[0] / 'checkpoints/epoch_4.pth', '--out']
    out = tmp_path / 'soco.safetensors'
    printed = run([*SOCO_MM, *export, out, '--format', 'safetensors']).stdout
    assert 'projector' in printed and out.is_file()
    out = tmp_path / 'soco.pth'
    code, said = refusal(capsys, *export, out, '--format', 'timm', '--adapt')
    assert code == 2 and '--adapt' in said
    assert not out.exists()
