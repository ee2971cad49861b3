"""The command ``proposals`` and its sub-commands."""

from soco_mm.cli.common import examples

from .box_files import add_export, add_import
from .make import add_make
from .merge import add_merge
from .report import add_report

__all__ = ['add_proposals']


def add_proposals(commands) -> None:
    """Add the command ``proposals``, which is ``proposals make`` by default."""
    parser = commands.add_parser(
        'proposals',
        help='make object proposals; merge, report, import and export them',
        default_command='make',
    )
    actions = parser.add_subparsers(dest='action', required=True, metavar='COMMAND')
    make = add_make(actions)
    for add in (add_merge, add_report, add_import, add_export):
        add(actions)
    # Shown by "soco-mm proposals --help".
    others = [
        f'  {action.dest:8s} {action.help}'
        for action in actions._choices_actions
        if action.dest != 'make'
    ]
    make.epilog = '\n\n'.join(
        [
            examples(
                'soco-mm proposals photos --out proposals',
                'soco-mm proposals photos --out proposals --size-range 0.05 0.8',
            ),
            'other commands (a folder of such a name is given as ./NAME):\n'
            + '\n'.join(others),
        ]
    )
