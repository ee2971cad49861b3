"""A training starts from other weights, says so, and keeps a record of it."""

import importlib.metadata
import json
import shutil
from pathlib import Path

import pytest
import small
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import revert_sync_batchnorm

from soco_mm.apis.export import export_detector, export_weights
from soco_mm.apis.pretrain import pretrain
from soco_mm.checkpoint import read_assignment
from soco_mm.engine.config import load_config
from soco_mm.engine.init_weights import InitChoice, resume_images, take_over_images
from soco_mm.engine.pretraining import choose_recipe
from soco_mm.engine.training import train_model
from soco_mm.registry import HOOKS, MODELS
from soco_mm.utils import SoCoError, UsageError

CLEAN = 'contains no third-party weights'


@HOOKS.register_module()
class KeepStartHook(Hook):
    """Keep what a training starts with."""

    priority = 'LOWEST'
    kept = None

    def before_train(self, runner):
        type(self).kept = {k: v.clone() for k, v in runner.model.state_dict().items()}


@pytest.fixture
def weights(tmp_path):
    """A classifier of the recipe's backbone, blue first."""
    torch.manual_seed(1)
    net = revert_sync_batchnorm(MODELS.build(Config.fromfile(small.SOCO).model))
    state = {f'backbone.{n}': v for n, v in net.backbone.state_dict().items()}
    text = (
        'data_preprocessor = dict(mean=[103.53, 116.28, 123.675], '
        'std=[1.0, 1.0, 1.0], to_rgb=False)\n'
        "model = dict(backbone=dict(type='ResNet', depth=18))"
    )
    state['head.fc.weight'] = torch.ones(2)
    path = tmp_path / 'classifier.pth'
    torch.save(dict(state_dict=state, meta=dict(cfg=text)), path)
    return path


def config(store, demo_images, init):
    cfg = load_config(
        small.SOCO,
        {
            'train_dataloader.dataset.data_root': str(demo_images),
            'train_dataloader.dataset.proposals': str(store),
            'train_dataloader.batch_size': 2,
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
            'train_cfg.max_epochs': 1,
            'init_weights': init,
        },
    )
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='KeepStartHook')]
    return cfg


def test_a_training_starts_from_them_with_equal_networks(
    store, demo_images, weights, tmp_path
):
    cfg = config(store, demo_images, str(weights))
    checkpoint = train_model(cfg, tmp_path / 'run')
    start = KeepStartHook.kept
    saved = torch.load(weights)['state_dict']
    for name, value in saved.items():
        if name.startswith('backbone.') and name != 'backbone.conv1.weight':
            assert torch.equal(start[name], value), name
            assert torch.equal(start[f'target_net.module.{name}'], value), name
    first = saved['backbone.conv1.weight'].flip(1)
    assert torch.equal(start['backbone.conv1.weight'], first)
    # Images are normalised as they were, in the run and in what it exports.
    record = json.loads((tmp_path / 'run/init.json').read_text())
    assert record['normalisation']['channels'] == 'BGR'
    (log,) = (tmp_path / 'run').glob('*/*.log')
    assert f'Images are normalised as for {weights}' in log.read_text()
    assert len(record['parts']['backbone']['filled']) == 120
    assert record['left_out'] == dict(head=1)
    out = tmp_path / 'exported'
    report = export_detector(checkpoint, out, detector=small.MASK_RCNN, adapt=True)
    pixels = Config.fromfile(report.config).model.data_preprocessor
    assert (pixels.mean, pixels.std) == ([123.675, 116.28, 103.53], [1.0, 1.0, 1.0])
    assert pixels.bgr_to_rgb
    # The record goes with the weights.
    known = json.loads((tmp_path / 'run/provenance.json').read_text())
    assert json.loads((tmp_path / 'exported/provenance.json').read_text()) == known
    assert known['initial_weights'][0]['sha256'] == record['sha256']
    assert known['statement'] != CLEAN
    # A training that continues does not read them again.
    weights.unlink()
    cfg = config(store, demo_images, str(weights))
    cfg.train_cfg.max_epochs = 2
    train_model(cfg, tmp_path / 'run', resume=True)
    assert cfg.model.data_preprocessor.std == [1.0, 1.0, 1.0]
    # Nor does one that goes on in another folder, and again there.
    record = (tmp_path / 'run/init.json').read_bytes()
    for epochs, resumed in ((3, checkpoint), (4, True)):
        cfg = config(store, demo_images, str(weights))
        cfg.train_cfg.max_epochs = epochs
        train_model(cfg, tmp_path / 'other', resume=resumed)
        assert cfg.model.data_preprocessor.std == [1.0, 1.0, 1.0]
        assert (tmp_path / 'other/init.json').read_bytes() == record
        assert (tmp_path / 'other/provenance.json').is_file()
    # A checkpoint that was copied says it itself.
    alone = tmp_path / 'alone/checkpoints/epoch_1.pth'
    alone.parent.mkdir(parents=True)
    alone.write_bytes(checkpoint.read_bytes())
    cfg = config(store, demo_images, str(weights))
    resume_images(cfg, alone)
    assert cfg.model.data_preprocessor.std == [1.0, 1.0, 1.0]
    assert cfg.model.data_preprocessor.mean == [123.675, 116.28, 103.53]


def test_without_them_there_are_no_third_party_weights(store, demo_images, tmp_path):
    checkpoint = train_model(config(store, demo_images, None), tmp_path / 'run')
    known = json.loads((tmp_path / 'run/provenance.json').read_text())
    assert known['statement'] == CLEAN and known['initial_weights'] == []
    assert not (tmp_path / 'run/init.json').exists()
    assert known['images']['number'] == 5
    header = json.loads(Path(store, 'header.json').read_text())
    assert known['proposals']['sha256'] == header['hash']
    assert known['versions']['torch'] == importlib.metadata.version('torch')
    pytest.importorskip('safetensors')
    out = tmp_path / 'w.safetensors'
    export_weights(checkpoint, out, format='safetensors')
    beside = tmp_path / 'w.safetensors.provenance.json'
    assert json.loads(beside.read_text()) == known
    # load_from and Pretrained count as well.
    cfg = config(store, demo_images, None)
    cfg.load_from = str(checkpoint)
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other/init.json').write_text('{}')  # of an earlier training
    last = train_model(cfg, tmp_path / 'other')
    assert not (tmp_path / 'other/init.json').exists()
    known = json.loads((tmp_path / 'other/provenance.json').read_text())
    (source,) = known['initial_weights']
    assert (source['key'], source['initial_weights']) == ('load_from', [])
    # Weights that are made from others name these too.
    cfg = config(store, demo_images, str(last))
    train_model(cfg, tmp_path / 'third')
    third = json.loads((tmp_path / 'third/provenance.json').read_text())
    assert third['initial_weights'][0]['initial_weights'] == known['initial_weights']


def test_the_hash_of_images_changes_with_an_image(store, demo_images, tmp_path):
    from soco_mm.datasets import ObjectViewDataset
    from soco_mm.engine.provenance import describe_images

    shutil.copytree(demo_images, tmp_path / 'images')

    def digest():
        data = ObjectViewDataset(str(tmp_path / 'images'), str(store), [])
        return describe_images(data)['sha256']

    before = digest()
    assert digest() == before
    path = sorted((tmp_path / 'images').iterdir())[0]
    path.write_bytes(path.read_bytes()[:-1] + b'\0')
    assert digest() != before


@pytest.mark.parametrize(
    'given, message',
    [
        (3, 'must be the path of a file'),
        (dict(partial=True), 'must be the path of a file'),
        (dict(checkpoint='a', colour='x'), 'has no colour'),
    ],
)
def test_other_values_in_a_config_are_refused(given, message):
    with pytest.raises(UsageError, match=message):
        InitChoice.of(Config(dict(init_weights=given)))


def test_only_one_start_can_be_given():
    with pytest.raises(UsageError, match='both a .* and b .*only one'):
        InitChoice.of(Config(dict(init_weights='a', load_from='b')))


def test_images_are_not_taken_over_where_the_model_has_no_place_for_them(weights):
    cfg = Config.fromfile(small.SOCO)
    cfg.init_weights = str(weights)
    cfg.model.data_preprocessor = dict(type='OtherPreprocessor')
    with pytest.raises(SoCoError, match='OtherPreprocessor, does not take over'):
        take_over_images(cfg)


def start(demo_images, store, out, **arguments):
    return pretrain(
        demo_images,
        out,
        config=small.SOCO,
        proposals=store,
        workers=0,
        batch_size=2,
        epochs=1,
        detector=small.MASK_RCNN,
        adapt=True,
        **arguments,
    )


def test_pretrain_refuses_before_anything_is_written(
    store, demo_images, tmp_path, weights
):
    out = tmp_path / 'run'
    content = torch.load(weights)
    del content['state_dict']['backbone.layer1.0.conv1.weight']
    partial = tmp_path / 'partial.pth'
    torch.save(content, partial)
    for arguments, message in (
        (dict(init=partial), '119 of the 120'),
        (dict(init=tmp_path), 'is a folder'),
        (dict(init=tmp_path / 'nothing'), 'There is no file'),
        (dict(init_licence='MIT'), 'add --init WEIGHTS'),
        (dict(init=weights, options={'load_from': str(weights)}), 'Give only one'),
        (dict(options={'init_weights': str(weights)}), 'Set it with --init'),
    ):
        with pytest.raises(SoCoError, match=message):
            start(demo_images, store, out, **arguments)
        assert not out.exists()


def test_a_run_is_resumed_only_with_its_own_weights(
    store, demo_images, tmp_path, weights
):
    out = tmp_path / 'run'
    start(demo_images, store, out, init=weights, init_licence='CC0')
    known = json.loads((out / 'exported/provenance.json').read_text())
    assert known['initial_weights'][0]['licence'] == 'CC0'
    content = torch.load(weights)
    content['state_dict']['backbone.bn1.bias'] += 1
    torch.save(content, weights)
    with pytest.raises(
        UsageError, match=r'was started with content of --init \(SHA-256\)='
    ):
        start(demo_images, store, out, init=weights, resume=True)
    weights.unlink()
    made = pretrain(None, out, epochs=2, resume=True, workers=0)
    assert made.checkpoint.name == 'epoch_2.pth'
    model = read_assignment(torch.load(made.checkpoint)['meta']['cfg'], 'model')
    assert model['data_preprocessor']['std'] == [1.0, 1.0, 1.0]


def resnet(blocks, conv='conv3'):
    """The names and shapes that tell a ResNet."""
    return {
        'conv1.weight': torch.ones(64, 3, 7, 7),
        'layer1.0.conv2.weight': torch.ones(64, 64, 3, 3),
        f'layer1.0.{conv}.weight': torch.ones(64, 64, 3, 3),
        **{f'layer3.{i}.conv1.weight': torch.ones(2) for i in range(blocks)},
    }


def test_weights_and_few_images_choose_a_short_recipe(tmp_path, capsys):
    c4 = {f'backbone.{name}': value for name, value in resnet(6).items()}
    c4['roi_head.shared_head.layer4.0.conv1.weight'] = torch.ones(2)
    for name, given in dict(
        r50=resnet(6), mobilenet={'features.17.conv.0.0.weight': torch.ones(2)}, c4=c4
    ).items():
        torch.save(given, tmp_path / name)
    assert choose_recipe(tmp_path / 'r50', 99_999) == 'short/soco_r50_fpn_short'
    said = capsys.readouterr().out
    assert 'a short recipe of ResNet-50' in said
    assert 'Compare on your labels' in said
    assert choose_recipe(tmp_path / 'c4', 5) == 'short/soco_r50_c4_short'
    mobilenet = choose_recipe(tmp_path / 'mobilenet', 5)
    assert mobilenet == 'short/soco_mobilenetv2_fpn_short'
    assert choose_recipe(tmp_path / 'r50', 100_000) == 'soco_r50_fpn_100e'
    assert choose_recipe(None, 5) == 'soco_r50_fpn_100e'


@pytest.mark.parametrize(
    'names, advice',
    [
        (
            {'features.denseblock1.denselayer1.conv1.weight': torch.ones(2)},
            r'holds weights of DenseNet; .*--detector CONFIG of MMDetection',
        ),
        (
            {'fc.weight': torch.ones(2)},
            'a backbone that is not recognised; short recipes are chosen for ResNet-50 '
            'and MobileNetV2',
        ),
        (
            resnet(2, 'conv2'),
            'holds weights of ResNet-18; .*--detector mmdet::retinanet/retinanet_r18',
        ),
    ],
)
def test_weights_without_a_short_recipe_are_named_with_what_to_give(
    tmp_path, names, advice
):
    path = tmp_path / 'weights.pth'
    torch.save(names, path)
    with pytest.raises(UsageError, match=advice):
        choose_recipe(path, 5)
