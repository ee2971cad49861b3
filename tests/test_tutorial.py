"""The tutorial runs as it stands, and the file holds what it shows."""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest

nbformat = pytest.importorskip('nbformat')
ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / 'docs/tutorial.ipynb'
PICTURE = r'data:image/jpeg;base64,[\w+/=]+'


def runner():
    path = NOTEBOOK.with_name('run_tutorial.py')
    spec = importlib.util.spec_from_file_location('run_tutorial', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(notebook):
    """Of each cell of code: kinds of its outputs, and how many pictures."""
    cells = [cell for cell in notebook.cells if cell.cell_type == 'code']
    return [
        (
            [output.output_type for output in cell.outputs],
            len(re.findall(PICTURE, json.dumps(cell.outputs))),
        )
        for cell in cells
    ]


@pytest.mark.slow
def test_the_tutorial_ends_with_a_detector_that_finds_the_coins(tmp_path):
    shutil.copytree(ROOT / 'demo', tmp_path / 'demo')
    (tmp_path / 'docs').mkdir()
    committed = nbformat.read(NOTEBOOK, as_version=4)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    runner().run(notebook, tmp_path / 'docs')
    assert shown(notebook) == shown(committed)
    made = tmp_path / 'work_dirs/tutorial'
    metrics = json.loads((made / 'detector/metrics.json').read_text())
    assert metrics['coco/bbox_mAP_50'] > 0.5
    printed = notebook.cells[-2].outputs[0].text
    assert 12 <= int(re.search(r'(\d+) coins', printed)[1]) <= 30  # of 24


def test_the_file_holds_pictures_and_is_small():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    pictures = [number for _, number in shown(notebook)]
    assert pictures == [0, 1, 2, 0, 0, 1, 0]
    assert NOTEBOOK.stat().st_size < 1_000_000


def test_the_file_names_no_place_of_the_machine_it_was_run_on():
    text = re.sub(PICTURE, '', NOTEBOOK.read_text(encoding='utf-8'))
    assert not re.search(r'[\s\'">(]/\w+/', text)


def test_links_of_the_tutorial_lead_somewhere():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    text = '\n'.join(c.source for c in notebook.cells if c.cell_type == 'markdown')
    links = re.findall(r'\]\(([^)]+)\)', text)
    assert len(links) >= 3
    assert all((NOTEBOOK.parent / link).is_file() for link in links)
