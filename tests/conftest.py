import ast
import functools
import gc
import importlib.util
import multiprocessing
import shutil
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import config, utils
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from soco_mm.log import log_to_console
from soco_mm.openmmlab import CLASSIFIERS

sys.path.insert(0, str(Path(__file__).parent))
ROOT = Path(__file__).parents[1]
DEMO = ROOT / 'demo'
# Files that take minutes.
LONGEST = {
    'test_finetune.py',
    'test_integration.py',
    'test_quickstart.py',
    'test_transfer_study.py',
    'test_tutorial.py',
}


def can_classify():
    """Whether the models of MMClassification or MMPretrain can be imported."""
    for name in CLASSIFIERS:
        if importlib.util.find_spec(name):
            try:
                importlib.import_module(f'{name}.models')
            except ImportError:  # MMPretrain's need torchvision
                return False
            return True
    return False


def pytest_collection_modifyitems(items):
    """Start long files first; skip what needs MMClassification."""
    # A long file that starts last leaves the other processes idle.
    slow = {each.path for each in items if each.get_closest_marker('slow')}
    items.sort(key=lambda each: (each.path.name not in LONGEST, each.path not in slow))
    baselines = ('byol', 'simsiam', 'mocov2', 'densecl')
    names = ('convnext', 'test_probe.py', 'test_backbone.py', *baselines)
    needing = [each for each in items if any(name in each.nodeid for name in names)]
    if needing and not can_classify():
        reason = 'MMClassification and MMPretrain cannot be imported'
        for each in needing:
            each.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish():
    """Do once what MMEngine does again for each config and data set."""
    # It collects garbage: 0.3 s with the objects of all imported libraries.
    gc.collect()
    gc.freeze()
    # It reads all metafiles of MMDetection to find one of its configs: 0.1 s.
    utils._get_cfg_metainfo = functools.cache(utils._get_cfg_metainfo)
    # It formats the text of a config wherever it is logged or saved, for readers:
    # 0.2 s. Its successor takes another formatter.
    if hasattr(config, 'FormatCode'):
        config.FormatCode = lambda text, **style: (ast.parse(text) and text, True)


@pytest.fixture(autouse=True, scope='session')
def console():
    """What jobs say is printed, as on the command line."""
    log_to_console()


@pytest.fixture(autouse=True)
def stop_workers():
    """Stop the workers of data loaders that an error has left.

    Garbage collection waits 5 s for each of them. A test may call it too.
    """

    def stop():
        if multiprocessing.active_children():
            for each in gc.get_objects():
                if type(each) is _MultiProcessingDataLoaderIter:
                    each._shutdown_workers()

    yield stop
    stop()


@pytest.fixture
def demo_images() -> Path:
    """Five real photos."""
    return DEMO / 'images'


@pytest.fixture(scope='session')
def store(tmp_path_factory) -> Path:
    """The proposals of these photos."""
    from soco_mm.proposals.make import make_proposals

    folder = tmp_path_factory.mktemp('proposals') / 'store'
    make_proposals(DEMO / 'images', folder, num_workers=2)
    return folder


@pytest.fixture
def small_model():
    """The paper's model on a narrow ResNet-18, every part of it real."""
    import small
    from mmengine.config import Config
    from mmengine.model import revert_sync_batchnorm

    from soco_mm.registry import MODELS

    torch.manual_seed(0)
    cfg = Config.fromfile(small.SOCO)
    return revert_sync_batchnorm(MODELS.build(cfg.model))


@pytest.fixture(scope='session')
def browser(tmp_path_factory):
    """A headless Chromium."""
    selenium = pytest.importorskip('selenium.webdriver')
    service = pytest.importorskip('selenium.webdriver.chrome.service')
    chromium = shutil.which('chromium') or shutil.which('chromium-browser')
    driver = shutil.which('chromedriver')
    if not (chromium and driver):
        pytest.skip(
            'needs chromium and chromedriver (Debian: apt-get install '
            'chromium chromium-driver)'
        )
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        'headless=new',
        'no-sandbox',
        'disable-gpu',
        'disable-quic',
        'no-first-run',
        'disable-background-networking',
        'disable-component-update',
        'disable-sync',
        f'user-data-dir={tmp_path_factory.mktemp("profile")}',
    ):
        options.add_argument(f'--{argument}')
    options.set_capability('goog:loggingPrefs', dict(browser='ALL', performance='ALL'))
    chrome = selenium.Chrome(options, service.Service(driver))
    yield chrome
    chrome.quit()
