"""What the site has from the code and from files outside of docs/.

MkDocs calls these functions (``hooks`` in mkdocs.yml). They need none of the
package's requirements: parsers are built, all else is read as text.
"""

import argparse
import ast
import json
import posixpath
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the tests read the tables without MkDocs
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
# Pages that are files outside of docs/.
OUTSIDE = {'CHANGELOG.md': 'changelog.md', 'CONTRIBUTING.md': 'contributing.md'}
LINK = re.compile(r'(!?)\[([^\]]*)\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)')
# The public modules.
MODULES = (
    'soco_mm.apis',
    'soco_mm.proposals',
    'soco_mm.datasets',
    'soco_mm.datasets.transforms',
    'soco_mm.models',
    'soco_mm.engine',
    'soco_mm.checkpoint',
    'soco_mm.coco',
    'soco_mm.evaluation',
    'soco_mm.visualization',
    'soco_mm.errors',
)


def on_files(files: 'Files', config: 'MkDocsConfig') -> 'Files':
    """Add the pages that are files outside of docs/, and their pictures."""
    from mkdocs.structure.files import File

    for readme in sorted(ROOT.glob('projects/*/README.md')):
        name = readme.relative_to(ROOT).as_posix()
        OUTSIDE[name] = posixpath.join(posixpath.dirname(name), 'index.md')
        for picture in sorted(readme.parent.rglob('*.png')):
            place = picture.relative_to(ROOT).as_posix()
            files.append(File.generated(config, place, content=picture.read_bytes()))
    for source, page in OUTSIDE.items():
        files.append(
            File.generated(config, page, content=(ROOT / source).read_text('utf-8'))
        )
    return files


def on_page_markdown(
    markdown: str, page: 'Page', config: 'MkDocsConfig', files: 'Files'
) -> str:
    """Fill in what is made from the code, and lead links to their pages."""
    makers = dict(commands=commands, configs=configs, api=api)
    for name, make in makers.items():
        mark = f'<!-- {name} -->'
        if mark in markdown:
            markdown = markdown.replace(mark, make())
    here = page.file.src_uri
    source = {page: name for name, page in OUTSIDE.items()}.get(here, f'docs/{here}')

    def lead(match: re.Match) -> str:
        place = place_of(match[3], source)
        if files.get_file_from_path(place) is None:
            return match[0] if source == f'docs/{here}' else match[2]
        link = posixpath.relpath(place, posixpath.dirname(here) or '.')
        return f'{match[1]}[{match[2]}]({link}{match[4] or ""})'

    return LINK.sub(lead, markdown)


def place_of(link: str, source: str) -> str:
    """The page or file of the site that a link leads to.

    Args:
        link (str): A relative link.
        source (str): The file it is in, relative to the repository.

    Returns:
        str: Its path in the site.
    """
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    if target == 'README.md':
        return 'index.md'
    return OUTSIDE.get(target, target.removeprefix('docs/'))


def commands() -> str:
    """All commands with all their arguments, from their parsers."""
    sys.path.insert(0, str(ROOT))
    try:
        from soco_mm.cli import build_parser
    finally:
        sys.path.remove(str(ROOT))
    return '\n\n'.join(describe_command(each) for _, each in build_parser().leaves())


def describe_command(parser: argparse.ArgumentParser) -> str:
    """One command: what it does, its usage and its arguments."""
    usage = ' '.join(parser.format_usage().split()).removeprefix('usage: ')
    usage = textwrap.fill(usage, 76, subsequent_indent='    ', break_on_hyphens=False)
    parts = [f'## {parser.prog}']
    parts += [text for text in [parser.description] if text]
    parts.append(f'```text\n{usage}\n```')
    for group in parser._action_groups:
        actions = [a for a in group._group_actions if a.help != argparse.SUPPRESS]
        if not actions:
            continue
        if group.title not in ('positional arguments', 'options'):
            parts.append(f'**{group.title}**. {group.description or ""}'.strip())
        rows = [f'| {names_of(a)} | {meaning_of(a, parser)} |' for a in actions]
        parts.append('\n'.join(['| argument | |', '|---|---|', *rows]))
    if parser.epilog:
        parts.append(f'```text\n{parser.epilog}\n```')
    return '\n\n'.join(parts)


def names_of(action: argparse.Action) -> str:
    """How an argument is given."""
    if not action.option_strings:
        return f'`{action.metavar or action.dest.upper()}`'
    value = ''
    if action.nargs != 0:
        metavar = action.metavar or action.dest.upper()
        if isinstance(metavar, tuple):
            value = ' '.join(metavar)
        else:
            value = metavar + (' ...' if action.nargs in ('+', '*') else '')
        value = f' {value}'
    return ', '.join(f'`{name}{value}`' for name in action.option_strings)


def meaning_of(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    """The help of an argument, its choices, and whether it is needed."""
    text = (action.help or '') % dict(
        vars(action), prog=parser.prog, default=action.default
    )
    text = ' '.join(text.split()).replace('|', r'\|').replace('<', '&lt;')
    if action.choices and action.option_strings:
        text += ' (one of ' + ', '.join(f'`{each}`' for each in action.choices) + ')'
    if action.required and action.option_strings:
        text += ' (required)'
    return text.replace('*', r'\*').strip()


def configs() -> str:
    """Tables of all configs: what they inherit, cost and are for."""
    measured = json.loads((ROOT / 'configs/soco/measured.json').read_text())
    parts = [
        f'Memory and step time: {measured["batch_size"]} images, '
        f'{measured["machine"]}; the step time is compared with '
        f'`{measured["compared_with"]}` ({measured["seconds"]} s).'
    ]
    for folder in sorted({path.parent for path in ROOT.glob('configs/**/*.py')}):
        rows = [
            '| config | inherits from | memory | step time | |',
            '|---|---|---|---|---|',
        ]
        for path in sorted(folder.glob('*.py')):
            base, comment = read_config(path)
            name = path.relative_to(ROOT / 'configs').with_suffix('').as_posix()
            cost = measured['recipes'].get(name.removeprefix('soco/'), {})
            memory = f'{cost["memory_gib"]} GiB' if cost else ''
            step = f'{cost["step_time"]}x' if cost else ''
            rows.append(f'| `{path.stem}` | {base} | {memory} | {step} | {comment} |')
        parts.append(f'## `{folder.relative_to(ROOT).as_posix()}`')
        parts.append('\n'.join(rows))
    return '\n\n'.join(parts)


def read_config(path: Path) -> tuple[str, str]:
    """What a config inherits from, and the comment at its top."""
    text = path.read_text('utf-8')
    comment = []
    for line in text.splitlines():
        if not line.startswith('#'):
            break
        comment.append(line.lstrip('# '))
    bases = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == '_base_':
            bases = ast.literal_eval(node.value)
            bases = [bases] if isinstance(bases, str) else bases
    names = ', '.join(f'`{base}`' for base in bases)
    return names, ' '.join(comment).replace('|', r'\|')


def api() -> str:
    """The directives of mkdocstrings for all public modules."""
    return '\n\n'.join(f'::: {name}' for name in MODULES)
