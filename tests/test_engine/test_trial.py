"""Wrong options cost no proposals, and leave no folder."""

import pytest
import small

from soco_mm.apis.pretrain import pretrain
from soco_mm.engine.config import CONFIG_ROOT
from soco_mm.utils import SoCoError


@pytest.mark.parametrize(
    'options, message',
    [
        (
            {'train_dataloader.dataset.pipeline.2.num_proposals': [4]},
            r'data pipeline: .*Check what .*num_proposals=\[4\]',
        ),
        (
            {'train_dataloader.dataset.pipeline.2.numproposals': 4},
            "unexpected keyword argument 'numproposals'",
        ),
        ({'model.base_momentum': 5}, r'lie in \[0, 1\].*model.base_momentum=5'),
        ({'optim_wrapper.optimizer.lr': 'fast'}, "lr is 2.0; 'fast'"),
        ({'param_scheduler.0.foo': 1}, "argument 'foo'"),
        ({'default_hooks.logger.foo': 1}, "argument 'foo'"),
        ({'train_dataloader.batch_size': 'all'}, "batch_size is 128; 'all'"),
        ({'train_dataloader.num_workers': -1}, 'num_workers'),
        ({'train_dataloader.dataset.data_root': 'x'}, 'Set it with IMAGES'),
        ({'train_dataloader.dataset.proposals': 'x'}, 'with --proposals'),
        ({'work_dir': 'x'}, 'with --out'),
        ({'train_pipeline.0.type': 'x'}, 'train_pipeline is a variable'),
    ],
)
def test_an_option_that_cannot_be_built_leaves_no_run(
    demo_images, tmp_path, options, message
):
    with pytest.raises(SoCoError, match=message):
        pretrain(demo_images, tmp_path / 'run', config=small.SOCO, options=options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    'key, argument',
    [
        ('train_cfg.max_epochs', dict(epochs=2)),
        ('train_dataloader.batch_size', dict(batch_size=2)),
        ('train_dataloader.num_workers', dict(workers=1)),
    ],
)
def test_two_values_for_one_thing_are_refused(demo_images, tmp_path, key, argument):
    (name,) = argument
    with pytest.raises(
        SoCoError, match=f'--{name.replace("_", "-")} and --cfg-options {key}'
    ):
        pretrain(
            demo_images,
            tmp_path / 'run',
            config=small.SOCO,
            options={key: 3},
            **argument,
        )
    assert not list(tmp_path.iterdir())


def test_a_schedule_that_epochs_cannot_set_leaves_no_run(demo_images, tmp_path):
    config = tmp_path / 'constant.py'
    base = CONFIG_ROOT / 'soco/soco_r18_fpn_quick.py'
    config.write_text(
        f"_base_ = '{base}'\nparam_scheduler = [dict(type='ConstantLR', factor=1.)]\n"
    )
    with pytest.raises(SoCoError, match=r"the config has \['ConstantLR'\]"):
        pretrain(demo_images, tmp_path / 'run', config=config, epochs=2)
    assert not (tmp_path / 'run').exists()
