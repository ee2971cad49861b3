import re
from pathlib import Path

import pytest
import yaml
from modelindex.load_model_index import load
from test_pretraining_configs import DOCS, NAMES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def index():
    index = load(str(ROOT / 'model-index.yml'))
    index.build_models_with_collections()
    return index


def test_the_index_is_valid_in_openmmlabs_format(index):
    assert index.check(silent=True) == []
    assert len(index.models) > 25
    names = [model.name for model in index.models]
    assert len(set(names)) == len(names)
    for model in index.models:
        assert model.in_collection == 'SoCo'
        assert (ROOT / model.data['Config']).is_file()
        assert model.data['Config'].endswith(f'{model.name}.py')


def test_every_recipe_with_a_figure_of_the_paper_is_listed(index):
    listed = {
        model.data['Config'].removeprefix('configs/soco/').removesuffix('.py')
        for model in index.models
    }
    # The paper has no number for the random boxes that diverged.
    of_the_paper = {
        re.search('`(.*?)`', line)[1]
        for line in DOCS.read_text().splitlines()
        if re.match(r'\| Tables? \d', line)
        and 'random, K = 4' not in line
        and 'random, K = 8' not in line
    }
    assert listed == of_the_paper <= set(NAMES)


def test_figures_are_marked_as_the_papers():
    content = yaml.safe_load((ROOT / 'configs/soco/metafile.yml').read_text())
    for model in content['Models']:
        for each in model['Downstream']:
            assert re.match(r'the paper, Table \d', each['Metadata']['Reported by'])
            for result in each['Results']:
                assert all(20 < value < 90 for value in result['Metrics'].values())
