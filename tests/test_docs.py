"""Every command, link and file name in the documentation is checked."""

import argparse
import importlib.util
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from soco_mm.cli import build_parser, main
from soco_mm.engine.config import CONFIG_ROOT, load_config
from soco_mm.errors import UsageError

ROOT = Path(__file__).parents[1]
FOLDERS = [
    '.github',
    'configs',
    'demo',
    'docs',
    'projects',
    'requirements',
    'tests',
    'tools',
]
PAGES = sorted(ROOT.glob('*.md')) + sorted(
    path for folder in FOLDERS for path in (ROOT / folder).rglob('*.md')
)
# Commands of other programs, which no test runs.
OTHERS = {'export', 'git', 'mim', 'mkdocs', 'pip', 'pytest', 'ruff', 'source'}
FENCE = re.compile(r'^```(\w*)[^\n]*\n(.*?)^```$', re.MULTILINE | re.DOTALL)
LINK = re.compile(r'\[[^\]]*\]\((?!\w+:)([^)\s#]*)(?:#([^)\s]*))?\)')
spec = importlib.util.spec_from_file_location('site_hooks', ROOT / 'docs/site_hooks.py')
site_hooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(site_hooks)


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def commands_of(path):
    """The commands in the bash blocks of a page."""
    for language, text in FENCE.findall(path.read_text('utf-8')):
        if language != 'bash':
            continue
        for line in text.replace('\\\n', ' ').splitlines():
            line = line.strip()
            # A sub-shell is a command of the shell.
            for part in [line] if line[:1] == '(' else line.split(' && '):
                words = shlex.split(part, comments=True)
                while words and re.fullmatch(r'[A-Z_]+=\S*', words[0]):
                    words = words[1:]
                if words:
                    yield words


COMMANDS = [
    pytest.param(words, id=f'{name_of(path)}: {" ".join(words)}')
    for path in PAGES
    for words in commands_of(path)
]


class Parsed(Exception):
    """A script has parsed its arguments."""


def parse_script(script, words, monkeypatch):
    """Let a script parse arguments with its own parser, and no more."""
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(self, *args, **kwargs):
        raise Parsed(parse(self, *args, **kwargs))

    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse_and_stop)
    monkeypatch.setattr(sys, 'argv', [str(script), *words])
    monkeypatch.syspath_prepend(str(script.parent))
    with pytest.raises(Parsed) as parsed:
        runpy.run_path(str(script), run_name='__main__')
    return parsed.value.args[0]


def check_config(name, options=None):
    """A recipe exists and has the keys that are set; a placeholder may be any."""
    if name is None or name.startswith('mmdet::'):
        return
    in_tree = ROOT / name
    if (CONFIG_ROOT / 'soco' / f'{name}.py').is_file():
        load_config(name, options)
    elif name.startswith(('configs/', 'projects/')):
        assert in_tree.is_file()
        load_config(in_tree, options)
    else:  # such as CONFIG, or a file of a run
        assert name.isupper() or name.split('/')[0].isupper(), name


def check_command(words, monkeypatch):
    program, *rest = words
    if program == 'soco-mm':
        args = build_parser().parse_args(rest)
        options = getattr(args, 'cfg_options', None)
        config = getattr(args, 'config', None)
        if rest[0] == 'pretrain' and not args.resume:
            config = config or 'soco_r50_fpn_100e'
        if rest[0] != 'finetune':
            check_config(config, options)
        check_config(getattr(args, 'detector', None))
    elif program == 'python':
        script = next(ROOT / word for word in rest if word.endswith('.py'))
        assert script.is_file()
        rest = rest[rest.index(name_of(script)) + 1 :]
        if 'Parser(' in script.read_text('utf-8'):
            parse_script(script, rest, monkeypatch)
        else:
            assert not rest
    elif program == 'bash':
        script = ROOT / rest[0]
        assert script.is_file()
        subprocess.run(['bash', '-n', script], check=True)
        if script.name == 'dist_train.sh':
            assert rest[2].isdecimal()
            args = parse_script(
                ROOT / 'tools/train.py', [rest[1], *rest[3:]], monkeypatch
            )
            check_config(rest[1], args.cfg_options)
        elif script.name == 'slurm_train.sh':
            parse_script(ROOT / 'tools/train.py', [rest[3], *rest[5:]], monkeypatch)
        elif script.name in ('dist_proposals.sh', 'slurm_proposals.sh'):
            assert len(rest) >= (4 if script.name.startswith('dist') else 5)
        else:
            options = [word for word in rest[1:] if word.startswith('-')]
            assert all(option in script.read_text() for option in options)
    else:
        assert program in OTHERS or words[0].startswith('('), (
            f'{program} is neither a command of this project nor in OTHERS'
        )


@pytest.mark.parametrize('words', COMMANDS)
def test_commands_of_the_docs_are_accepted_by_their_parsers(words, monkeypatch):
    monkeypatch.chdir(ROOT)
    check_command(words, monkeypatch)


@pytest.mark.parametrize(
    'line',
    [
        'soco-mm pretrain IMAGES',
        'soco-mm pretrain IMAGES --out RUN --epoch-count 3',
        'soco-mm pretrain IMAGES --out RUN --config soco_r50_fpn_99e',
        'soco-mm browse soco_r50_fpn_100e --cfg-options modle.base_momentum=1',
        'python tools/analysis_tools/compare_losses.py BEFORE',
        'python tools/analysis_tools/no_such_script.py',
        'bash tools/dist_train.sh configs/soco/soco_r50_fpn_99e.py 16',
        'bash tools/setup_env.sh --there',
        'conda create',
    ],
)
def test_commands_that_do_not_exist_are_found(line, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises((SystemExit, AssertionError, UsageError)):
        check_command(shlex.split(line), monkeypatch)


def inline_commands():
    for path in PAGES:
        text = FENCE.sub('', path.read_text('utf-8'))
        for line in re.findall(r'`(soco-mm [^`]+)`', text):
            yield pytest.param(' '.join(line.split()), id=f'{name_of(path)}: {line}')


@pytest.mark.parametrize('line', list(inline_commands()))
def test_commands_within_sentences_name_what_exists(line):
    parser = build_parser()
    for word in line.split()[1:]:
        if word in parser.commands:
            parser = parser.commands[word]
        elif word.startswith('--'):
            names = {*parser._option_string_actions}
            for child in parser.commands.values():
                names.update(child._option_string_actions)
            assert word in names
        else:
            assert parser.prog != 'soco-mm' or word.isupper(), f'no command {word}'


def slugs_of(path):
    """The anchors of the headings of a page."""
    text = path.read_text('utf-8')
    if '<!-- commands -->' in text:
        text += site_hooks.commands()
    found = set()
    for line in FENCE.sub('', text).splitlines():
        if heading := re.match(r'#+ +(.*)', line):
            plain = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', heading[1]).lower()
            found.add(re.sub(r'[^\w\- ]', '', plain).strip().replace(' ', '-'))
    return found


@pytest.mark.parametrize('path', PAGES, ids=name_of)
def test_links_lead_to_files_and_headings_that_exist(path):
    text = FENCE.sub('', path.read_text('utf-8'))
    for place, anchor in LINK.findall(text):
        target = path.parent / place if place else path
        assert target.exists(), f'{place} does not exist'
        if anchor:
            assert anchor in slugs_of(target), f'no heading #{anchor} in {target.name}'


# The changelog names files of the past.
@pytest.mark.parametrize(
    'path', [path for path in PAGES if path.name != 'CHANGELOG.md'], ids=name_of
)
def test_files_of_the_repository_that_are_named_exist(path):
    text = FENCE.sub('', path.read_text('utf-8'))
    folders = 'soco_mm|tests|tools|configs|requirements|demo|docs|examples|projects'
    for name in re.findall(rf'`((?:{folders})/[\w./-]+)`', text):
        assert re.search('NAME|[.]mim', name) or (ROOT / name).exists(), (
            f'{name} does not exist'
        )


@pytest.mark.parametrize('path', PAGES, ids=name_of)
def test_python_in_the_docs_is_python(path):
    for language, text in FENCE.findall(path.read_text('utf-8')):
        assert language, f'{name_of(path)} has a block that names no language'
        if language == 'python':
            compile(text, name_of(path), 'exec')


def test_the_reference_has_every_option_of_every_command():
    page = site_hooks.commands()
    sections = dict(
        re.findall(r'^## (soco-mm[^\n]*)\n(.*?)(?=^## |\Z)', page, re.M | re.S)
    )
    for name, command in build_parser().leaves():
        for option in command._option_string_actions:
            assert re.search(rf'`{option}\b', sections[command.prog]), (
                f'{name} {option}'
            )


def test_the_reference_has_every_config():
    page = site_hooks.configs()
    for path in (ROOT / 'configs').rglob('*.py'):
        assert f'`{path.stem}`' in page


def test_the_folders_are_listed_in_the_order_of_imports():
    script = ROOT / 'tools/analysis_tools/import_graph.py'
    floors = [name for floor in runpy.run_path(str(script))['FLOORS'] for name in floor]
    folders = [name for name in floors if (ROOT / 'soco_mm' / name).is_dir()]
    table = (
        (ROOT / 'CONTRIBUTING.md').read_text('utf-8').split('folder of `soco_mm`')[1]
    )
    assert re.findall(r'^\| `(\w+)`', table.split('\n\n')[0], re.M) == folders


def test_every_page_is_in_the_navigation():
    named = re.findall(r': ([\w/]+\.md)$', (ROOT / 'mkdocs.yml').read_text(), re.M)
    assert len(named) == len({*named})
    made = {'changelog.md', 'contributing.md', 'projects/transfer_study/index.md'}
    pages = {
        path.relative_to(ROOT / 'docs').as_posix()
        for path in PAGES
        if 'docs' in path.parts[len(ROOT.parts) :]
    }
    assert {*named} == pages | made


def test_the_site_is_built_without_a_warning_and_without_a_network(tmp_path):
    if importlib.util.find_spec('mkdocs') is None:
        pytest.skip('mkdocs is not installed (requirements/docs.txt)')
    environment = {
        **os.environ,
        'http_proxy': 'http://127.0.0.1:9',
        'https_proxy': 'http://127.0.0.1:9',
    }
    built = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', tmp_path],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    for page in tmp_path.rglob('*.html'):
        found = re.findall(
            r'<(?:script|img|link)[^>]*(?:src|href)="(https?://[^"]*)"',
            page.read_text('utf-8'),
        )
        assert all('canonical' in url for url in found), (page, found)


@pytest.mark.slow
def test_the_first_steps_of_the_tutorial_run(tmp_path, monkeypatch, capsys):
    """Those on proposals and views, on the photos of the demo."""
    places = {
        'PHOTOS': str(ROOT / 'demo/images'),
        'train.json': str(ROOT / 'demo/instances.json'),
    }
    monkeypatch.chdir(tmp_path)
    ran = []
    for words in commands_of(ROOT / 'docs/tutorial.md'):
        if words[:2] in (['soco-mm', 'proposals'], ['soco-mm', 'browse']):
            for name, place in places.items():
                words = [re.sub(rf'\b{name}$', place, word) for word in words]
            main(words[1:])
            ran.append(words[1:3])
    assert len(ran) == 4
    assert (tmp_path / 'STORE/header.json').is_file()
    assert len([*tmp_path.glob('work_dirs/browse/*/*.png')]) == 5


@pytest.mark.slow
def test_the_figures_are_drawn_from_the_pipeline(tmp_path):
    script = ROOT / 'docs/figures.py'
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    subprocess.run([sys.executable, script, tmp_path], check=True, env=environment)
    drawn = {path.name for path in tmp_path.iterdir()}
    text = (ROOT / 'docs/how_it_works.md').read_text()
    assert drawn == set(re.findall(r'\(images/(\w+\.png)\)', text))
    for name in drawn:
        assert (tmp_path / name).stat().st_size < 300_000
        # On one machine and version they would be equal to the last bit.
        shown = cv2.imread(str(ROOT / 'docs/images' / name))
        assert cv2.imread(str(tmp_path / name)).shape == shown.shape
