"""The command ``soco-mm``: parses arguments and calls :mod:`soco_mm.apis`."""

from collections.abc import Sequence

from soco_mm.version import __version__

from .browse import add_browse
from .common import add_batch, add_config_options, add_precision, run
from .configs import add_configs
from .doctor import add_doctor
from .finetune import add_finetune
from .handoff import add_export, add_import
from .parser import Parser
from .plan import add_plan
from .pretrain import add_pretrain
from .probe import add_probe
from .proposals import add_proposals
from .replay import add_replay
from .report import add_run_report

__all__ = [
    'add_batch',
    'add_config_options',
    'add_precision',
    'build_parser',
    'main',
    'run',
]


def build_parser() -> Parser:
    """The parser of ``soco-mm`` with all its commands.

    Nothing heavy is imported, so that help is there at once. The parsers of
    its commands are in ``commands``, and theirs in turn.

    Returns:
        Parser: The parser; what it parses has the ``function`` to call.

    Example:
        >>> from soco_mm.cli import build_parser
        >>> list(build_parser().commands['proposals'].commands)
        ['make', 'merge', 'report', 'import', 'export']
    """
    parser = Parser(
        prog='soco-mm',
        description='Pretrain whole detectors on unlabelled images (SoCo).',
    )
    parser.add_argument('--version', action='version', version=f'soco_mm {__version__}')
    commands = parser.add_subparsers(
        title='commands', dest='command', required=True, metavar='COMMAND'
    )
    for add in (
        add_pretrain,
        add_plan,
        add_configs,
        add_browse,
        add_run_report,
        add_proposals,
        add_export,
        add_finetune,
        add_import,
        add_probe,
        add_replay,
        add_doctor,
    ):
        add(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``soco-mm``.

    Args:
        arguments (Sequence[str], optional): Its arguments. Defaults to those
            of the process.
    """
    args = build_parser().parse_args(arguments)
    run(lambda: args.function(args))
