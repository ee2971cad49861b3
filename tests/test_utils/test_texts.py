"""What a message shows of names that act on a terminal."""

import pytest
from commands import refusal

from soco_mm.utils import SoCoError
from soco_mm.utils.texts import printable

NAME = 'a\x1b[2K\rb\x00\x9b1A.png'
SHOWN = r'a\x1b[2K\x0db\x00\x9b1A.png'


def test_control_characters_are_written_out_but_lines_may_end():
    assert printable(NAME) == SHOWN
    assert str(SoCoError(f'{NAME}\n\té😀')) == f'{SHOWN}\n\té😀'


@pytest.mark.parametrize('command', ['browse', 'proposals'])
def test_a_command_that_refuses_a_name_shows_all_of_it(command, tmp_path, capsys):
    name = NAME.replace('\x00', '')
    code, said = refusal(capsys, command, tmp_path / name, '--out', tmp_path / 'out')
    assert code == 2 and SHOWN.replace(r'\x00', '') in said
