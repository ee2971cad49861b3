import gc
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
ROOT = Path(__file__).parents[1]
DEMO = ROOT / 'demo'


def pytest_collection_finish():
    """Take what is imported out of garbage collection.

    MMEngine collects garbage for each data set that is built, which takes
    0.3 s with the objects of all the libraries.
    """
    gc.collect()
    gc.freeze()


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
