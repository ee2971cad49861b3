"""Pretrain a model from a config."""

import os
from pathlib import Path

from soco_mm.cli import add_batch, add_config_options, add_precision, run
from soco_mm.cli.parser import Parser
from soco_mm.engine.batch_scaling import set_batch
from soco_mm.engine.config import load_config
from soco_mm.engine.precision import set_precision
from soco_mm.engine.processes import exclusive_to_training
from soco_mm.engine.runtime import start_processes
from soco_mm.engine.training import train_model


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument('config', help='the config of the training')
    parser.add_argument(
        '--work-dir',
        help='where checkpoints and logs go (default: work_dir of the config, '
        'or work_dirs/NAME_OF_CONFIG)',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const=True,
        default=False,
        metavar='CHECKPOINT',
        help='continue from this checkpoint; without one, from the last in '
        'the work dir, or from the start if there is none',
    )
    add_batch(parser)
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument(
        '--amp', action='store_true', help='train in mixed precision'
    )
    add_precision(precision)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes (default: none)',
    )
    parser.add_argument(
        '--local_rank',
        '--local-rank',
        type=int,
        help='set by some launchers',
    )
    add_config_options(parser, 'train_dataloader.batch_size=64')
    args = parser.parse_args()
    if args.local_rank is not None:
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))

    cfg = load_config(args.config, args.cfg_options)
    set_batch(cfg, args.auto_scale, args.accumulate)
    set_precision(cfg, args.precision)
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
    work_dir = (
        args.work_dir
        or cfg.get('work_dir')
        or os.path.join('work_dirs', Path(args.config).stem)
    )
    cfg.launcher = args.launcher
    start_processes(cfg)
    with exclusive_to_training(work_dir, 'a run'):
        checkpoint = train_model(cfg, work_dir, args.resume, args.launcher)
    if checkpoint is not None and int(os.environ.get('RANK', 0)) == 0:
        print(f'The last checkpoint is {checkpoint}.')


if __name__ == '__main__':
    run(main)
