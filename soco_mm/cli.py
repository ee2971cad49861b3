"""The command ``soco-mm``: parses arguments and calls :mod:`soco_mm.apis`."""
import argparse
import sys
from typing import Callable, Optional, Sequence

from soco_mm.errors import SoCoError
from soco_mm.version import __version__


def run(main: Callable) -> None:
    """Run a program; what a user can mend ends it with one sentence."""
    try:
        main()
    except SoCoError as error:
        print(f'ERROR: {error}', file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        # For example a full disk.
        print(f'ERROR: {error}', file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print('\nInterrupted.', file=sys.stderr)
        sys.exit(130)


def positive(text: str) -> int:
    """A whole number from 1, for an argument parser."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'must be at least 1, but is {text}')
    return number


def add_proposals(commands) -> None:
    """Add the command ``proposals``."""
    parser = commands.add_parser(
        'proposals', help='make the object proposals of a folder of images')
    parser.add_argument('images', help='the folder of images')
    parser.add_argument(
        '--out', required=True, help='the folder to write the proposals to')
    parser.add_argument(
        '--preset',
        choices=['paper', 'released'],
        default='paper',
        help='parameters of the paper or of its released code '
        '(default: paper)')
    parser.add_argument(
        '--workers',
        type=positive,
        help='number of processes (default: one a core)')
    parser.set_defaults(function=proposals)


def proposals(args: argparse.Namespace) -> None:
    """Run the command ``proposals``."""
    from soco_mm.apis.proposals import describe_proposals, make_proposals
    print(
        describe_proposals(
            make_proposals(args.images, args.out, args.preset, args.workers)))


def add_pretrain(commands) -> None:
    """Add the command ``pretrain``."""
    parser = commands.add_parser(
        'pretrain',
        help='from a folder of images to a detector that starts from them')
    parser.add_argument('images', help='the folder of unlabelled images')
    parser.add_argument(
        '--out',
        required=True,
        metavar='RUN',
        help='the folder that everything is written to')
    parser.add_argument(
        '--config',
        default='soco_r50_fpn_100e',
        help='a config, or the name of one under configs/soco '
        '(default: %(default)s)')
    parser.add_argument(
        '--epochs',
        type=positive,
        help='length of the training (default: as the config says)')
    parser.add_argument(
        '--batch-size', type=int, help='images a step (default: as the config '
        'says; 16 on a CPU)')
    parser.add_argument(
        '--workers', type=int, help='processes that load images and make '
        'proposals (default: one a core)')
    parser.add_argument(
        '--preset',
        choices=['paper', 'released'],
        default='paper',
        help='parameters of the proposals (default: %(default)s)')
    parser.add_argument(
        '--resume', action='store_true', help='continue a run that was '
        'stopped')
    parser.add_argument(
        '--overwrite', action='store_true', help='delete what an earlier run '
        'left in RUN')
    add_config_options(parser)
    parser.set_defaults(function=pretrain)


def pretrain(args: argparse.Namespace) -> None:
    """Run the command ``pretrain``."""
    from soco_mm.apis.pretrain import pretrain
    made = pretrain(
        args.images,
        args.out,
        config=args.config,
        options=args.cfg_options,
        epochs=args.epochs,
        batch_size=args.batch_size,
        workers=args.workers,
        preset=args.preset,
        resume=args.resume,
        overwrite=args.overwrite)
    print('\nUse next:')
    for name, path in made.items():
        print(f'  {name:11s} {path}')


def add_export(commands) -> None:
    """Add the command ``export``."""
    parser = commands.add_parser(
        'export', help='hand a training checkpoint over to MMDetection')
    parser.add_argument('config', help='the config of the pretraining')
    parser.add_argument('checkpoint', help='a checkpoint of it')
    parser.add_argument('--out', required=True, help='the folder to write')
    parser.set_defaults(function=export)


def export(args: argparse.Namespace) -> None:
    """Run the command ``export``."""
    from soco_mm.apis.export import CONFIG, export_detector
    from soco_mm.apis.train import load_config
    report = export_detector(
        load_config(args.config), args.checkpoint, args.out)
    print(report.describe())
    print(f'Train it with MMDetection from {args.out}/{CONFIG}.')


def add_import(commands) -> None:
    """Add the command ``import``."""
    parser = commands.add_parser(
        'import', help='turn a released checkpoint into one of this plugin')
    parser.add_argument('released', help='a released checkpoint, FPN layout')
    parser.add_argument('out', help='the file to write')
    parser.set_defaults(function=import_)


def import_(args: argparse.Namespace) -> None:
    """Run the command ``import``."""
    from soco_mm.apis.importing import import_released
    number = import_released(args.released, args.out)
    print(f'{args.out}: {number} entries, all of {args.released}.')


def add_doctor(commands) -> None:
    """Add the command ``doctor``."""
    parser = commands.add_parser(
        'doctor', help='check this installation and say how to mend it')
    parser.add_argument(
        '--quiet', action='store_true', help='print what fails alone')
    parser.set_defaults(function=doctor)


def doctor(args: argparse.Namespace) -> None:
    """Run the command ``doctor``."""
    from soco_mm.apis.doctor import check_installation
    sys.exit(0 if check_installation(args.quiet) else 1)


class ConfigOptions(argparse.Action):
    """MMEngine's ``DictAction``, imported where it is used.

    The command starts without MMEngine, so that ``doctor`` can say that it is
    missing. And a value that is not KEY=VALUE gets a sentence.
    """

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        """Read the values."""
        from mmengine.config import DictAction
        for value in values:
            if '=' not in value:
                parser.error(f'{option_string} takes KEY=VALUE, but got '
                             f'{value!r}')
        read = DictAction(self.option_strings, self.dest, nargs=self.nargs)
        read(parser, namespace, values, option_string)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``, whose values MMEngine reads."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='set values of the config, e.g. '
        'train_dataloader.dataset.pipeline.2.num_proposals=8')


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Run ``soco-mm``."""
    parser = argparse.ArgumentParser(
        prog='soco-mm',
        description='Pretrain whole detectors on unlabelled images (SoCo).')
    parser.add_argument(
        '--version', action='version', version=f'soco_mm {__version__}')
    commands = parser.add_subparsers(
        dest='command', required=True, metavar='COMMAND')
    for add in (add_pretrain, add_proposals, add_export, add_import,
                add_doctor):
        add(commands)
    args = parser.parse_args(arguments)
    run(lambda: args.function(args))


if __name__ == '__main__':
    main()
