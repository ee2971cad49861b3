"""Run the tests and add a line to the table of docs/compatibility.md.

    bash tools/setup_env.sh --stack onedl
    .venv_onedl/bin/python tools/analysis_tools/record_tests.py -- -m "not slow"

What follows ``--`` goes to pytest. The line of the same family, Python, PyTorch
and selection is replaced.
"""

import argparse
import importlib.metadata
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from soco_mm.openmmlab import NEEDED, OTHERS, family, is_installed
from soco_mm.utils import atomic_write

ROOT = Path(__file__).parents[2]
PAGE = ROOT / 'docs/compatibility.md'
BEGIN, END = '<!-- tests: begin -->', '<!-- tests: end -->'
KEYS = ('family', 'python', 'torch', 'packages', 'tests', 'passed', 'skipped', 'failed')
SAME = ('family', 'python', 'torch', 'tests')


def describe_environment() -> dict:
    """The versions that decide whether the package runs."""
    version = importlib.metadata.version
    names = [
        name for name in (*NEEDED[family()], *OTHERS[family()]) if is_installed(name)
    ]
    return dict(
        family=family(),
        python=platform.python_version(),
        torch=version('torch'),
        packages=', '.join(
            f'{name.removeprefix("onedl-")} {version(name)}' for name in names
        ),
    )


def run_tests(arguments: list[str]) -> dict:
    """Run pytest; how many tests passed, were skipped, and failed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, 'report.xml')
        subprocess.run(
            [sys.executable, '-m', 'pytest', '-q', f'--junitxml={report}', *arguments],
            cwd=ROOT,
        )
        (suite,) = ElementTree.parse(report).getroot().iter('testsuite')
    count = {key: int(suite.get(key)) for key in ('tests', 'skipped')}
    failed = int(suite.get('failures')) + int(suite.get('errors'))
    return dict(
        passed=count['tests'] - count['skipped'] - failed,
        skipped=count['skipped'],
        failed=failed,
    )


def read_rows(text: str) -> list[dict]:
    """The lines of the table."""
    table = text.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in table]
    return [dict(zip(KEYS, each)) for each in cells]


def write_rows(text: str, rows: list[dict]) -> str:
    """The page with these lines."""
    table = [
        '| ' + ' | '.join(KEYS) + ' |',
        '|---' * len(KEYS) + '|',
        *('| ' + ' | '.join(str(row[key]) for key in KEYS) + ' |' for row in rows),
    ]
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return '\n'.join([before + BEGIN, '', *table, '', END + after])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('arguments', nargs='*', help='arguments of pytest')
    given = parser.parse_args().arguments
    row = dict(
        describe_environment(),
        tests=f'`{" ".join(given)}`' if given else 'all',
        **run_tests(given),
    )
    text = PAGE.read_text()
    rows = [
        each
        for each in read_rows(text)
        if any(each[key] != str(row[key]) for key in SAME)
    ]
    atomic_write(
        PAGE,
        write_rows(
            text,
            sorted(
                [*rows, row],
                key=lambda r: (r['family'], r['python'], r['torch'], r['tests']),
            ),
        ),
    )
    print(json.dumps(row))
    sys.exit(bool(row['failed']))


if __name__ == '__main__':
    main()
