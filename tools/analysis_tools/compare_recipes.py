"""Train small versions of recipes on a folder of images and draw their losses.

Each recipe keeps what makes it different: views, boxes, network parts,
proposals. In small means a ResNet-18 in place of the deeper ones, views of
half the size, narrower projectors, and a learning rate for short runs. What is
done already in OUT is not done again.
"""

import argparse
import json
import re
from pathlib import Path

from mmengine.config import Config

from soco_mm.cli import run
from soco_mm.cli.parser import Parser
from soco_mm.engine.checkpoint_files import latest_checkpoint
from soco_mm.engine.config import load_config
from soco_mm.engine.training import train_model
from soco_mm.proposals import build_settings
from soco_mm.proposals.layout import HEADER
from soco_mm.proposals.make import make_proposals
from soco_mm.utils import atomic_stream

RECIPES = [
    'soco_r50_fpn_100e',
    'soco-star_r50_fpn_100e',
    'soco_r50_c4_100e',
    'soco_swin-t_fpn_100e',
    'soco_convnext-t_fpn_100e',
    'released/soco_r50_fpn_100e',
    'released/soco-star_r50_fpn_400e',
    'released/soco_r50_c4_100e',
    'ablations/table4-1_whole-image',
    'ablations/table4-2_selective-search',
    'ablations/table4-3_fpn',
    'ablations/table4-4_head',
    'ablations/table4-5_scale-aware-assignment',
    'ablations/table4-6_box-jitter',
    'ablations/table5a_v3-96',
    'ablations/table5a_v3-192',
    'ablations/table5c_selective-search-k1',
    'ablations/table5c_selective-search-k16',
    'ablations/table5c_random-k1',
    'ablations/table5c_random-k4',
    'ablations/table5d_tau-098',
    'ablations/table5d_tau-0993',
]
# Curves in one picture, side by side.
PANELS = {
    'Recipes': ('soco',),
    'As released': ('released',),
    'Table 4': ('ablations/table4',),
    'Table 5': ('ablations/table5',),
}


def proposals_for(name: str, images: Path, out: Path) -> Path:
    """Make the proposals that a config names, if they do not exist."""
    method, preset, number = 'selective-search', 'paper', None
    if name.endswith('_whole'):
        method = 'whole'
    elif match := re.search(r'_random-(\d+)$', name):
        method, number = 'random', int(match[1])
    elif name.endswith('_released'):
        preset = 'released'
    store = out / 'proposals' / Path(name).name
    if not (store / HEADER).is_file():
        make_proposals(
            images, store, settings=build_settings(preset, method, max_boxes=number)
        )
    return store


def shrink(cfg: Config, batch_size: int, epochs: int) -> None:
    """Make a recipe small; in place."""
    model = cfg.model
    if model.backbone.type == 'mmdet.ResNet':
        model.backbone.depth = 18
        if model.get('neck'):
            model.neck.in_channels = [64, 128, 256, 512]
        if model.roi_head.get('shared_head'):
            model.roi_head.shared_head.depth = 18
        if model.projector.in_channels == 2048:
            model.projector.in_channels = 512
    model.projector.hid_channels = 1024
    model.head.predictor.hid_channels = 1024
    for view in cfg.train_dataloader.dataset.pipeline[1]['views']:
        view['size'] //= 2
    extractor = model.roi_head.bbox_roi_extractor
    extractor.scale_bounds = [bound / 2 for bound in extractor.scale_bounds]
    lars = cfg.optim_wrapper.optimizer.type == 'LARS'
    cfg.optim_wrapper.type = 'OptimWrapper'
    cfg.optim_wrapper.optimizer.lr = 2.0 if lars else 5e-4
    cfg.auto_scale_lr.enable = False
    cfg.train_dataloader.batch_size = batch_size
    cfg.train_dataloader.num_workers = 1
    cfg.train_cfg.max_epochs = epochs
    warm_up, cosine = cfg.param_scheduler
    warm_up.end = 1
    cosine.update(begin=1, end=epochs, T_max=epochs - 1)
    cfg.default_hooks.logger.interval = 1
    cfg.log_processor.window_size = 1
    cfg.log_level = 'ERROR'


def train(name: str, args: argparse.Namespace) -> list:
    """Train a small version of a recipe; returns one loss per step."""
    folder = args.out / name.replace('/', '_')
    losses = folder / 'losses.json'
    if not losses.is_file():
        cfg = load_config(name)
        data = cfg.train_dataloader.dataset
        data.update(
            data_root=str(args.images.resolve()),
            proposals=str(proposals_for(data.proposals, args.images, args.out)),
        )
        data.num_images = args.num_images
        shrink(cfg, args.batch_size, args.epochs)
        cfg.visualizer.save_dir = str(folder)
        cfg.default_hooks.checkpoint.max_keep_ckpts = 1
        train_model(cfg, folder, resume=latest_checkpoint(folder) is not None)
        steps = {}
        for path in sorted(folder.rglob('scalars.json')):
            for line in path.read_text().splitlines():
                row = json.loads(line)
                steps[row['step']] = row['loss']
        values = [steps[step] for step in sorted(steps)]
        with atomic_stream(losses) as stream:
            json.dump(values, stream)
    return json.loads(losses.read_text())


def draw(losses: dict, path: Path) -> None:
    """Draw all curves, smoothed over 5 steps."""
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    import numpy as np

    figure, axes = plt.subplots(2, 2, figsize=(11, 8), layout='constrained')
    for axis, (title, prefixes) in zip(axes.flat, PANELS.items()):
        for name, values in losses.items():
            if not name.startswith(prefixes):
                continue
            smooth = np.convolve(values, np.ones(5) / 5, 'valid')
            axis.plot(smooth, label=name.rpartition('/')[2], linewidth=1.5)
        axis.set_title(title, loc='left')
        axis.set_xlabel('step')
        axis.set_ylabel('loss')
        axis.grid(alpha=0.3)
        axis.spines[['top', 'right']].set_visible(False)
        if axis.lines:
            axis.legend(fontsize=7, frameon=False)
    partial = path.with_name(f'partial_{path.name}')
    figure.savefig(partial, dpi=110)
    partial.replace(path)


def main() -> None:
    parser = Parser(description=__doc__.split('\n')[0])
    parser.add_argument('images', type=Path, help='a folder of images')
    parser.add_argument(
        '--out', type=Path, required=True, help='folder of the runs and their picture'
    )
    parser.add_argument(
        '--recipes',
        nargs='+',
        default=RECIPES,
        help='names of configs under configs/soco (default: all kinds)',
    )
    parser.add_argument('--num-images', type=int, help='use only so many of them')
    parser.add_argument(
        '--epochs', type=int, default=4, help='length of each training (default: 4)'
    )
    parser.add_argument(
        '--batch-size', type=int, default=16, help='images of a step (default: 16)'
    )
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    losses = {}
    for name in args.recipes:
        losses[name] = train(name, args)
        first, last = losses[name][:5], losses[name][-5:]
        print(
            f'{name}: {len(losses[name])} steps, loss {sum(first) / 5:.2f} -> '
            f'{sum(last) / 5:.2f}',
            flush=True,
        )
    draw(losses, args.out / 'losses.png')
    print(args.out / 'losses.png')


if __name__ == '__main__':
    run(main)
