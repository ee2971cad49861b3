import argparse
import os
import subprocess
import sys
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import DictAction

from soco_mm.cli.common import (
    add_config_options,
    at_least,
    examples,
    number,
    read_value,
    run,
)


@pytest.mark.parametrize(
    'text, value',
    [
        ('my images', 'my images'),
        (' /data/my images (1), old ', ['/data/my images (1)', 'old']),
        ("'/data/my images (1), old'", '/data/my images (1), old'),
        ('"[1, 2]"', '[1, 2]'),
        ('a=b c', 'a=b c'),
        ('a (b', 'a (b'),
        ('a), b', 'a), b'),
        ("it's, mine", ["it's", 'mine']),
        ('[a b, c d]', ['a b', 'c d']),
        ('[(1, 2), [x y, None], "p, q"]', [(1, 2), ['x y', None], 'p, q']),
        ('(1,)', (1,)),
        ('[]', []),
        ('()', ()),
        ('1e-3', 1e-3),
        ('-7', -7),
        ('true', True),
        ('None', None),
        ('none', 'none'),
        ('', ''),
    ],
)
def test_values_are_read_with_their_spaces(text, value):
    found = read_value(text)
    assert found == value and type(found) is type(value)


@given(
    st.recursive(
        st.integers() | st.sampled_from(['a', 'x.y', 'True', 'None', '0.5']),
        lambda each: st.lists(each, min_size=1, max_size=3).map(
            lambda parts: f'[{",".join(map(str, parts))}]'
        ),
        max_leaves=8,
    ).map(str)
)
def test_values_without_spaces_are_those_of_mmengine(text):
    assert read_value(text) == DictAction._parse_iterable(text)


def test_options_are_gathered_and_others_refused(capsys):
    parser = argparse.ArgumentParser()
    add_config_options(parser, 'a.b=1')
    args = parser.parse_args(
        ['--cfg-options', 'a.b=my images', 'c=1=2', '--cfg-options', 'd=[1, 2]']
    )
    assert args.cfg_options == {'a.b': 'my images', 'c': '1=2', 'd': [1, 2]}
    for wrong in ('a', '=1'):
        with pytest.raises(SystemExit):
            parser.parse_args(['--cfg-options', wrong])
        assert 'takes KEY=VALUE, but got' in capsys.readouterr().err


@pytest.mark.parametrize('name', ['mmengine', 'mmcv.ops'])
def test_a_package_that_is_missing_is_named_with_the_command_that_helps(name, capsys):
    def main():
        raise ModuleNotFoundError(f'No module named {name!r}', name=name)

    with pytest.raises(SystemExit) as stopped:
        run(main)
    said = capsys.readouterr().err
    assert stopped.value.code == 1 and said.count('\n') == 1
    assert f'{name} is not installed.' in said and 'soco-mm doctor' in said


def test_other_modules_that_are_missing_are_faults():
    def main():
        raise ModuleNotFoundError("No module named 'soco_mm.x'", name='soco_mm.x')

    with pytest.raises(ModuleNotFoundError):
        run(main)


PRINTING = 'from soco_mm.cli.common import run; run(lambda: print({}))'


def test_output_that_nobody_reads_is_no_error():
    program = PRINTING.format('"line\\n" * 100_000')  # more than a pipe holds
    command = f"{sys.executable} -c '{program}' | head -1"
    done = subprocess.run(['bash', '-c', command], capture_output=True, text=True)
    assert done.stdout.count('\n') == 1 and done.stderr == ''


@pytest.mark.parametrize(
    'redirect, code, said',
    [
        ('> /dev/full', 1, 'ERROR: [Errno 28] No space left on device\n'),
        ('| true', 141, ''),
    ],
)
def test_output_that_is_written_last_is_no_stack_trace(redirect, code, said):
    command = f"{sys.executable} -c '{PRINTING.format(1)}' {redirect}"
    done = subprocess.run(
        ['bash', '-c', f'{command}; exit ${{PIPESTATUS[0]}}'],
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k != 'PYTHONUNBUFFERED'},
    )
    assert (done.returncode, done.stderr) == (code, said)


@pytest.mark.parametrize('level', ['print', 'logger.info'])
def test_names_that_are_not_utf8_are_shown(level):
    program = (
        'from soco_mm.cli.common import run\nfrom soco_mm.log import logger\n'
        f"run(lambda: {level}('images in a\\udcff'))"
    )
    env = dict(os.environ, PYTHONIOENCODING='utf-8:strict')
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, env=env)
    assert done.stdout == b'images in a\\udcff\n' and not done.stderr


@pytest.mark.parametrize(
    'read, text, words',
    [
        (at_least(2), 'x', "must be a whole number, but is 'x'"),
        (at_least(2), '2.5', "must be a whole number, but is '2.5'"),
        (at_least(2), '1', 'must be at least 2, but is 1'),
        (number, 'x', "must be a number, but is 'x'"),
        (number, '-1', 'must be at least 0, but is -1'),
        (number, 'nan', 'must be at least 0, but is nan'),
    ],
)
def test_numbers_out_of_range_are_refused_in_words(read, text, words):
    with pytest.raises(argparse.ArgumentTypeError, match=words):
        read(text)
    assert read('3') == 3 and isinstance(read('3'), int)


def test_long_examples_are_continued_on_the_next_line():
    text = examples(
        'soco-mm a', 'soco-mm b ' + ' '.join(f'--option-{i}' for i in range(9))
    )
    lines = text.splitlines()
    assert lines[:2] == ['examples:', '  soco-mm a']
    assert all(len(line) <= 80 for line in lines)
    assert lines[2].endswith(' \\') and lines[3].startswith('      --option-')
    joined = text.replace(' \\\n', ' ').splitlines()
    assert joined[-1].split() == ['soco-mm', 'b', *(f'--option-{i}' for i in range(9))]


def test_warnings_of_mmdetection_about_amp_are_not_shown():
    text = '`torch.cuda.amp.autocast(args...)` is deprecated.'

    def warn(module):
        warnings.warn_explicit(text, FutureWarning, 'file.py', 1, module)

    with warnings.catch_warnings():
        warnings.simplefilter('error')
        run(lambda: warn('mmdet.models.layers.se_layer'))
        with pytest.raises(FutureWarning):
            run(lambda: warn('mine'))


def test_an_interrupt_that_mmengine_turns_into_an_error_is_one(capsys):
    def main():
        try:
            raise KeyboardInterrupt
        except BaseException:
            raise SyntaxError('Failed to format the config file')  # noqa: B904

    with pytest.raises(SystemExit) as stopped:
        run(main)
    assert stopped.value.code == 130
    assert capsys.readouterr().err == '\nInterrupted.\n'

    def wrong():
        raise SyntaxError('invalid syntax')

    with pytest.raises(SyntaxError):
        run(wrong)
