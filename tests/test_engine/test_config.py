import pytest

from soco_mm.engine.config import CONFIG_ROOT, load_config
from soco_mm.utils import UsageError


def test_names_and_paths_of_configs():
    assert load_config('soco_r50_fpn_100e').train_cfg.max_epochs == 100
    for name, meant in (
        ('soco-r50-fpn-100', 'soco_r50_fpn_100e'),
        ('table5b_batch-51', 'ablations/table5b_batch-512'),
        ('configs/sco/soco_r50_c4_100e.py', 'soco_r50_c4_100e'),
    ):
        with pytest.raises(UsageError, match=rf'no config .*mean {meant}\?'):
            load_config(name)
        load_config(meant)


def test_options_reach_into_lists_and_may_add_arguments_of_components():
    cfg = load_config(
        'soco_r50_fpn_100e',
        {
            'param_scheduler.1.end': 7,
            'optim_wrapper.accumulative_counts': 4,
            'train_dataloader.dataset.pipeline.2.num_proposals': 8,
        },
    )
    assert cfg.param_scheduler[1].end == 7
    assert cfg.optim_wrapper.accumulative_counts == 4
    assert cfg.train_dataloader.dataset.pipeline[2].num_proposals == 8


@pytest.mark.parametrize(
    'key, meant',
    [
        ('trian_cfg', 'train_cfg'),
        ('model.bakcbone.depth', 'model.backbone.depth'),
        ('train_dataloader.batchsize', 'train_dataloader.batch_size'),
        ('batch_size', 'train_dataloader.batch_size'),
        ('num_proposals', 'train_dataloader.dataset.pipeline.2.num_proposals'),
        ('param_scheduler.5.end', None),
        ('train_cfg.max_epochs.x', None),
    ],
)
def test_misspelt_keys_are_refused_with_the_key_that_was_meant(key, meant):
    suggestion = rf'\. Did you mean {meant}\?$' if meant else ''
    with pytest.raises(UsageError, match=f'key {key} does not exist.*{suggestion}'):
        load_config('soco_r50_fpn_100e', {key: 1})


def test_config_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / 'bad.py').write_text('model = dict(')
    with pytest.raises(UsageError, match='cannot be read'):
        load_config(tmp_path / 'bad.py')


@pytest.mark.parametrize(
    'key, places',
    [
        (
            'train_pipeline.1.views.0.size',
            r'Set train_dataloader.dataset.pipeline.1.views.0.size\.',
        ),
        ('norm_cfg.type', 'Set model.backbone.norm_cfg.type and .* and 2 more'),
        (
            'mlp_cfg.hid_channels',
            'Set model.projector.hid_channels and '
            r'model.head.predictor.hid_channels\.',
        ),
        ('data_root', r'Set train_dataloader.dataset.data_root\.'),
        ('proposals', r'Set train_dataloader.dataset.proposals\.'),
    ],
)
def test_variables_of_a_config_are_refused_with_the_key_that_is_read(key, places):
    with pytest.raises(
        UsageError, match=f'{key} changes nothing: .* variable.*{places}'
    ):
        load_config('soco_r50_fpn_100e', {key: 96})


def test_keys_that_are_named_for_a_variable_change_the_views():
    """The advice is followed."""
    cfg = load_config(
        'soco_r50_fpn_100e', {'train_dataloader.dataset.pipeline.1.views.0.size': 96}
    )
    assert cfg.train_dataloader.dataset.pipeline[1].views[0].size == 96


def test_every_other_key_of_a_config_is_read():
    """Of our own configs, and of one of MMDetection."""
    from mmengine.config import Config

    from soco_mm.engine.config import READ

    cfg = load_config('soco_r50_fpn_100e')
    assert set(cfg) - READ == {
        'train_pipeline',
        'norm_cfg',
        'mlp_cfg',
        'data_root',
        'proposals',
    }
    cfg = Config.fromfile(
        CONFIG_ROOT / 'benchmarks/mmdetection/coco/mask-rcnn_r50_fpn_1x_coco.py'
    )
    assert set(cfg) - READ == {
        'train_pipeline',
        'test_pipeline',
        'norm_cfg',
        'data_root',
        'dataset_type',
        'backend_args',
        'vis_backends',
    }


def test_a_variable_that_a_job_sets_is_advised_with_its_argument():
    """Not with a key that is refused next."""
    with pytest.raises(UsageError, match=r'data_root .* Set it with IMAGES\.'):
        load_config(
            'soco_r50_fpn_100e',
            {'data_root': 'x'},
            {'train_dataloader.dataset.data_root': 'IMAGES'},
        )


@pytest.mark.parametrize(
    'key',
    [
        'default_hooks.checkpoint.interval',
        'model.base_momentum',
        'train_dataloader.pin_memory',
        'train_dataloader.dataset.pipeline.3.prob',
    ],
)
def test_text_in_the_place_of_a_number_is_refused_at_once(key):
    with pytest.raises(UsageError, match=f"key {key} is .*; 'abc'"):
        load_config('soco_r50_fpn_100e', {key: 'abc'})


def test_arguments_of_loaders_may_be_new():
    cfg = load_config('soco_r50_fpn_100e', {'train_dataloader.prefetch_factor': 4})
    assert cfg.train_dataloader.prefetch_factor == 4


def test_what_a_job_sets_itself_is_refused_with_its_argument():
    with pytest.raises(UsageError, match='cannot set a.b.c: .* with --flag'):
        load_config('soco_r50_fpn_100e', {'a.b.c': 1}, {'a.b': '--flag'})


def test_text_that_looks_like_a_number_is_refused_unless_it_may_be_one():
    key = 'train_dataloader.dataset.data_root'
    with pytest.raises(UsageError, match=f"{key} is the text .* 2024 was .* {key}='"):
        load_config('soco_r50_fpn_100e', {key: 2024})
    options = {
        key: '2024',
        'default_hooks.checkpoint.every': 30,
        'optim_wrapper.loss_scale': 512.0,
    }
    cfg = load_config('soco_r50_fpn_100e', options)
    assert cfg.default_hooks.checkpoint.every == 30
    assert cfg.optim_wrapper.loss_scale == 512.0


@pytest.mark.parametrize('text', ['{"images": []}', '{}'])
def test_a_file_without_a_model_is_no_config(tmp_path, text):
    path = tmp_path / 'a.json'
    path.write_text(text)
    with pytest.raises(UsageError, match='a.json is no config of a training: it has'):
        load_config(path)
