"""The command ``soco-mm``: parses arguments and calls :mod:`soco_mm.apis`."""

import argparse
import sys
from collections.abc import Sequence

from soco_mm.version import __version__

from .browse import add_browse
from .common import add_config_options, run
from .doctor import add_doctor
from .finetune import add_finetune
from .handoff import add_export, add_import
from .pretrain import add_pretrain
from .probe import add_probe
from .proposals import ACTIONS, add_merge, add_proposals
from .proposals_formats import add_export_proposals, add_import_proposals
from .proposals_report import add_report

__all__ = ['add_config_options', 'main', 'run']


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``soco-mm``."""
    parser = argparse.ArgumentParser(
        prog='soco-mm',
        description='Pretrain whole detectors on unlabelled images (SoCo).',
    )
    parser.add_argument('--version', action='version', version=f'soco_mm {__version__}')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for add in (
        add_pretrain,
        add_browse,
        add_proposals,
        add_merge,
        add_report,
        add_import_proposals,
        add_export_proposals,
        add_export,
        add_finetune,
        add_import,
        add_probe,
        add_doctor,
    ):
        add(commands)
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if (
        arguments[:1] == ['proposals']
        and arguments[1:2] != []
        and (arguments[1] in ACTIONS)
    ):
        arguments[:2] = [' '.join(arguments[:2])]
    args = parser.parse_args(arguments)
    run(lambda: args.function(args))
