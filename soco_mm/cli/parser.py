"""The argument parser of all commands."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from soco_mm.errors import did_you_mean


class Formatter(argparse.HelpFormatter):
    """Lists commands in one column, and leaves indented lines as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Wrap the paragraphs of a description or an epilog."""
        return '\n\n'.join(
            paragraph
            if '\n ' in paragraph or paragraph.startswith(' ')
            else super(Formatter, self)._fill_text(paragraph, width, indent)
            for paragraph in text.split('\n\n')
        )

    def _format_action(self, action: argparse.Action) -> str:
        """The lines of an argument; of sub-commands only theirs."""
        text = super()._format_action(action)
        if isinstance(action, argparse._SubParsersAction):
            return text.partition('\n')[2]
        return text

    def _iter_indented_subactions(self, action: argparse.Action):
        """The sub-commands, aligned with the options."""
        if hasattr(action, '_get_subactions'):
            yield from action._get_subactions()


class Parser(argparse.ArgumentParser):
    """An argument parser that answers a mistake with a sentence.

    In place of the whole usage it prints what is wrong, the name that was
    probably meant, and the command that shows the help. Exit code 2, as
    :class:`soco_mm.errors.UsageError`.

    Args:
        default_command (str, optional): The sub-command that is meant where
            the first argument is none. Defaults to None.
        kwargs: The arguments of ``argparse.ArgumentParser``.

    Example:
        >>> from soco_mm.cli.parser import Parser
        >>> parser = Parser(prog='paint')
        >>> _ = parser.add_argument('--colour', choices=['red', 'blue'])
        >>> parser.parse_args(['--colour', 'red'])
        Namespace(colour='red')
    """

    def __init__(self, *args, default_command: str | None = None, **kwargs) -> None:
        kwargs.setdefault('formatter_class', Formatter)
        super().__init__(*args, **kwargs)
        self.default_command = default_command

    @property
    def commands(self) -> dict[str, 'Parser']:
        """The parsers of the sub-commands by name, in order."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                return dict(action.choices)
        return {}

    def leaves(self, name: str = '') -> Iterator[tuple[str, 'Parser']]:
        """Yield the name and the parser of each command that can be run.

        The name is without that of the program, as ``proposals merge``.
        """
        for key, command in self.commands.items():
            yield from command.leaves(f'{name} {key}'.lstrip())
        if not self.commands:
            yield name, self

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse arguments; of a command without sub-commands, refuse others."""
        args = list(sys.argv[1:] if args is None else args)
        commands = self.commands
        if self.default_command and (not args or args[0] not in commands):
            args.insert(0, self.default_command)
        # Before argparse asks for what is missing: --dta is --data.
        for name in self.unknown_options(args):
            self.error(f'there is no option {name}.{did_you_mean(name, self.names)}')
        parsed, rest = super().parse_known_args(args, namespace)
        if rest and not commands:
            self.error(f'unexpected arguments: {" ".join(rest)}')
        return parsed, rest

    @property
    def names(self) -> list[str]:
        """All ``--options``."""
        return [name for name in self._option_string_actions if name[:2] == '--']

    def unknown_options(self, args: Sequence[str]) -> Iterator[str]:
        """Yield the arguments that argparse would take for unknown options."""
        for arg in args:
            # What follows a command is for its own parser.
            if arg == '--' or (self.commands and not arg.startswith('-')):
                return
            name = arg.partition('=')[0]
            # A text with spaces is a value; abbreviations are options.
            if (
                name.startswith('--')
                and ' ' not in name
                and not any(known.startswith(name) for known in self.names)
            ):
                yield name

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a value, or a command, that is not one of the choices."""
        if action.choices is None or value in action.choices:
            return
        choices = list(map(str, action.choices))
        raise argparse.ArgumentError(
            action,
            f'{value!r} is not one of {", ".join(choices)}.'
            f'{did_you_mean(str(value), choices)}',
        )

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and exit with 2."""
        end = '' if message.endswith(('.', '?')) else '.'
        self.exit(2, f'ERROR: {message}{end}\nSee {self.prog} --help.\n')
