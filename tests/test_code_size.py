"""Files and functions stay short enough to be read at once."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / 'soco_mm'
MOST_LINES = 60  # of a function, without its docstring
# What is longer, and why.
LONG = {
    'pretrain': 'its many arguments, which are named twice',
    'read_annotations': 'the steps of reading, in order',
    'build_settings': 'one argument per setting of proposals',
    'generate_proposals': 'a loop that starts, watches and replaces processes',
}


def functions():
    for path in PACKAGE.rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.FunctionDef):
                documented = ast.get_docstring(node) is not None
                doc = node.body[0] if documented else None
                lines = node.end_lineno - node.lineno + 1
                if doc is not None:
                    lines -= doc.end_lineno - doc.lineno + 1
                yield path.relative_to(PACKAGE), node.name, lines


def test_functions_are_short_unless_there_is_a_reason():
    long = {
        name: lines
        for path, name, lines in functions()
        # A parser is a list of its options.
        if lines > MOST_LINES and not (path.parts[0] == 'cli' and name[:4] == 'add_')
    }
    assert set(long) == set(LONG), long


def test_a_job_is_one_function_of_a_page():
    for path in (PACKAGE / 'apis').glob('*.py'):
        assert len(path.read_text().splitlines()) <= 150, path
