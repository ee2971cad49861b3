import pytest

from soco_mm.apis.train import load_config
from soco_mm.utils import UsageError


def test_names_and_paths_of_configs():
    assert load_config('soco_r50_fpn_100e').train_cfg.max_epochs == 100
    with pytest.raises(UsageError, match='soco_r50_fpn_100e'):
        load_config('soco_r51')


def test_options_reach_into_lists_and_may_add_arguments_of_components():
    cfg = load_config(
        'soco_r50_fpn_100e', {
            'param_scheduler.1.end': 7,
            'optim_wrapper.accumulative_counts': 4,
            'train_dataloader.dataset.pipeline.2.num_proposals': 8
        })
    assert cfg.param_scheduler[1].end == 7
    assert cfg.optim_wrapper.accumulative_counts == 4
    assert cfg.train_dataloader.dataset.pipeline[2].num_proposals == 8


@pytest.mark.parametrize('key', [
    'trian_cfg', 'model.bakcbone.depth', 'train_dataloader.batchsize',
    'param_scheduler.5.end', 'train_cfg.max_epochs.x'])
def test_misspelt_keys_are_refused(key):
    with pytest.raises(UsageError, match=key):
        load_config('soco_r50_fpn_100e', {key: 1})


def test_config_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / 'bad.py').write_text('model = dict(')
    with pytest.raises(UsageError, match='cannot be read'):
        load_config(tmp_path / 'bad.py')
