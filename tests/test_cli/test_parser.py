import re
import subprocess
import sys

import pytest

from soco_mm.cli import build_parser
from soco_mm.cli.parser import Parser
from soco_mm.errors import did_you_mean


def refusal(capsys, *arguments):
    """What is printed about wrong arguments."""
    with pytest.raises(SystemExit) as stopped:
        build_parser().parse_args(arguments)
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert not printed.out
    return printed.err


@pytest.mark.parametrize(
    'arguments, words',
    [
        (['pretran', 'x'], ["'pretran' is not one of pretrain,", 'mean pretrain?']),
        (['finetune', '--dta', 'x'], ['no option --dta. Did you mean --data?']),
        (['finetune', '--Batch_Size=4'], ['Did you mean --batch-size?']),
        (['--verison'], ['no option --verison. Did you mean --version?']),
        (
            ['export', 'a.pth', '--out', 'b', '--format', 'timn'],
            ["--format: 'timn' is not one of", 'Did you mean timm?'],
        ),
        (
            ['proposals', 'x', '--out', 'b', '--preset', 'papre'],
            ["--preset: 'papre' is not one of", 'Did you mean paper?'],
        ),
        (['probe', 'a', 'b', '--train', 'c'], ['unexpected arguments: b.']),
        (['proposals', 'merge', 'a'], ['required: --out', 'soco-mm proposals merge -']),
        (['proposals'], ['required: IMAGES, --out', 'See soco-mm proposals --help']),
        ([], ['required: COMMAND', 'See soco-mm --help']),
    ],
)
def test_mistakes_are_answered_with_the_name_that_was_meant(capsys, arguments, words):
    printed = refusal(capsys, *arguments)
    assert printed.startswith('ERROR: ') and len(printed.splitlines()) == 2
    for each in words:
        assert each in printed


def test_name_unlike_any_other_brings_no_suggestion(capsys):
    assert 'mean' not in refusal(capsys, 'finetune', '--xyzzy')


def test_values_that_look_like_options_are_no_mistake():
    parser = Parser()
    parser.add_argument('--text')
    parser.add_argument('rest', nargs='*')
    args = parser.parse_args(['--te', 'x', '--', '--unknown', 'y'])
    assert args.text == 'x' and args.rest == ['--unknown', 'y']
    assert parser.parse_args(['--text', '--a b']).text == '--a b'


@pytest.mark.parametrize(
    'arguments, action',
    [
        (['merge', 'a', 'b', '--out', 'c'], 'merge'),
        (['a', 'merge', '--out', 'c'], 'make'),
        (['./merge', '--out', 'c'], 'make'),
        (['--out', 'c', 'merge'], 'make'),
        (['make', 'a', '--out', 'c'], 'make'),
        (['report', 'a'], 'report'),
    ],
)
def test_proposals_are_made_unless_another_command_is_named(arguments, action):
    assert build_parser().parse_args(['proposals', *arguments]).action == action


def test_help_of_proposals_has_the_options_of_making_and_the_other_commands(capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args(['proposals', '--help'])
    printed = capsys.readouterr().out
    assert printed.startswith('usage: soco-mm proposals [-h]')
    for words in ('--min-size', 'merge ', 'report ', 'import ', 'export '):
        assert words in printed


def test_misspelt_command_of_proposals_is_not_taken_for_images(capsys):
    from soco_mm.cli import main

    with pytest.raises(SystemExit):
        main(['proposals', 'merg', 'a', '--out', 'b'])
    assert 'no images merg. Did you mean merge?' in capsys.readouterr().err


def test_help_imports_nothing_heavy():
    code = (
        'import sys; from soco_mm.cli import build_parser;'
        'build_parser().format_help();'
        'heavy = {"torch", "mmengine", "numpy", "cv2", "rich", "yaml"};'
        'print(*sorted(heavy & set(sys.modules)))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, '\n'), done.stderr


def test_nearest_name_is_suggested_and_a_second_only_if_as_near():
    names = ['soco_r50_fpn_100e', 'soco_r50_fpn_400e', 'soco_r50_c4_100e']
    assert did_you_mean('soco-r50-fpn-100', names) == (
        ' Did you mean soco_r50_fpn_100e?'
    )
    assert did_you_mean('soco_r50_fpn_200e', names).count(' or ') == 1
    assert did_you_mean('retinanet', names) == ''
    assert did_you_mean('x', []) == ''


COMMANDS = dict(build_parser().leaves())


def test_examples_in_help_are_command_lines_of_that_command():
    for name, command in COMMANDS.items():
        text = (command.epilog or '').replace('\\\n', ' ')
        lines = [line.split() for line in text.splitlines() if 'soco-mm' in line]
        parsed = [build_parser().parse_args(words[1:]) for words in lines]
        own = command.get_default('function')
        assert any(args.function == own for args in parsed), name


def test_results_go_to_out_everywhere():
    for name, command in COMMANDS.items():
        if name not in ('doctor', 'configs', 'plan', 'replay'):  # they print
            assert '--out' in command.names, name
        for action in command._actions:
            if not action.option_strings:
                assert action.dest != 'out', name


def test_each_argument_has_a_help_and_each_value_a_placeholder():
    for name, command in COMMANDS.items():
        for action in command._actions:
            assert action.help, (name, action.dest)
            if action.nargs != 0:
                assert action.metavar or action.choices, (name, action.dest)


@pytest.mark.parametrize('preset', ['paper', 'released', 'fast'])
def test_defaults_in_the_help_of_proposals_are_those_of_the_presets(preset):
    from soco_mm.proposals import SelectiveSearch, build_settings

    settings = build_settings(preset)
    generator = dict(settings['generator'])
    del generator['type']
    values = {**settings, **settings['filter'], **vars(SelectiveSearch(**generator))}
    compared = 0
    for action in COMMANDS['proposals make']._actions:
        found = re.search(r'\(default: ([\d. ]+)(;[^)]*)?\)', action.help)
        if found is None:
            continue
        own = re.search(rf'; {preset}: ([\d.]+)', found[2] or '')
        shown = (own or found)[1]
        value = values[action.dest]
        value = value if isinstance(value, tuple) else (value,)
        assert tuple(map(float, shown.split())) == value, action.dest
        compared += 1
    assert compared == 10
