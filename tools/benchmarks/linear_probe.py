"""Train a linear classifier on frozen features of a pretrained backbone."""

import os
from pathlib import Path

from soco_mm.cli import add_config_options, run
from soco_mm.cli.parser import Parser
from soco_mm.engine.config import load_config
from soco_mm.evaluation.probes import linear_probe


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument('config', help='a config under configs/benchmarks/linear_probe')
    parser.add_argument('checkpoint', help='exported weights, or a training checkpoint')
    parser.add_argument(
        '--work-dir',
        help='where checkpoints, logs and linear.json go (default: '
        'work_dirs/NAME_OF_CONFIG)',
    )
    parser.add_argument(
        '--train',
        metavar='FOLDER',
        help='the training images, one folder per class (default: as the config says)',
    )
    parser.add_argument(
        '--val',
        metavar='FOLDER',
        help='the images to classify, in folders '
        'of the same names (default: as the config says)',
    )
    parser.add_argument(
        '--resume',
        action='store_true',
        help='continue from the last checkpoint in the work dir, if there is one',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes (default: none)',
    )
    add_config_options(parser, 'train_dataloader.batch_size=32')
    args = parser.parse_args()
    cfg = load_config(args.config, args.cfg_options)
    work_dir = args.work_dir or os.path.join('work_dirs', Path(args.config).stem)
    result = linear_probe(
        cfg,
        args.checkpoint,
        work_dir,
        args.train,
        args.val,
        resume=args.resume,
        launcher=args.launcher,
    )
    if int(os.environ.get('RANK', 0)) == 0:
        print(result.describe())


if __name__ == '__main__':
    run(main)
