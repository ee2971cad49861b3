import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import small
import torch
from commands import call
from label_layouts import names_of, write_voc, write_yolo
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

from soco_mm.apis import probe
from soco_mm.checkpoint import detector_weights
from soco_mm.cli import build_parser
from soco_mm.engine.config import load_config
from soco_mm.evaluation.probe_config import LINEAR_PROBE, probe_config, read_backbone
from soco_mm.evaluation.probes import knn_probe, linear_probe
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError, UsageError, exclusive

ROOT = Path(__file__).parents[2]
PHOTOS = ('astronaut', 'coffee', 'coins')


@pytest.fixture
def folders(demo_images, tmp_path):
    """Crops of three photos, each in a tint; which photo is the class."""
    rng = np.random.default_rng(0)
    for split, number in (('train', 12), ('val', 5)):
        for name, tint in zip(PHOTOS, 0.1 + 0.9 * np.eye(3)):
            photo = cv2.imread(str(demo_images / f'{name}.jpg')) * tint
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for i in range(number):
                h, w = rng.integers(110, 180, 2)
                y = rng.integers(0, photo.shape[0] - h)
                x = rng.integers(0, photo.shape[1] - w)
                cv2.imwrite(str(folder / f'{i}.png'), photo[y : y + h, x : x + w])
    return tmp_path / 'train', tmp_path / 'val'


# Features that tell the photos apart.
RECIPE = {
    'model.backbone.base_channels': 32,
    'model.neck.in_channels': [32, 64, 128, 256],
}


@pytest.fixture(scope='module')
def pretrained():
    """A model, its batch norm statistics moved."""
    torch.manual_seed(0)
    cfg = load_config(small.SOCO, RECIPE)
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).train()
    model.online_net(
        torch.randn(2, 3, 64, 64), torch.tensor([[[0.0, 0.0, 40.0, 40.0]]] * 2)
    )
    return cfg, model.eval()


@pytest.fixture(scope='module')
def weights(pretrained, tmp_path_factory):
    """Its exported weights."""
    cfg, model = pretrained
    path = tmp_path_factory.mktemp('exported') / 'soco_weights.pth'
    torch.save(
        dict(
            meta=dict(model=cfg.model.to_dict()),
            state_dict=detector_weights(model.state_dict()),
        ),
        path,
    )
    return path


def small_config(*args, **kwargs):
    """The probe on images of 56 pixels."""
    cfg = probe_config(read_backbone(*args), workers=0, **kwargs)
    cfg.train_dataloader.dataset.pipeline[1].scale = 56
    _, resize, crop, _ = cfg.val_dataloader.dataset.pipeline
    resize.scale, crop.crop_size = (64, 64), 56
    return cfg


def test_config_is_the_papers():
    cfg = Config.fromfile(LINEAR_PROBE)
    assert cfg.optim_wrapper.optimizer == dict(
        type='SGD', lr=30.0, momentum=0.9, weight_decay=0.0
    )
    assert cfg.auto_scale_lr == dict(enable=True, base_batch_size=256)
    assert cfg.train_dataloader.batch_size == 256
    assert cfg.train_cfg.max_epochs == 100
    assert cfg.param_scheduler[0].milestones == [60, 80]
    assert [each.type for each in cfg.train_pipeline][1:3] == [
        'mmcls.RandomResizedCrop',
        'RandomFlip',
    ]
    assert cfg.train_pipeline[1].scale == 224
    _, resize, crop, _ = cfg.test_pipeline
    assert resize.scale == (256, 256) and crop.crop_size == 224


def test_epochs_move_the_steps(weights):
    cfg = probe_config(read_backbone(weights), epochs=10, lr=3, batch_size=8)
    assert cfg.param_scheduler[0].milestones == [6, 8]
    assert cfg.train_cfg.max_epochs == 10
    assert cfg.optim_wrapper.optimizer.lr == 3
    assert cfg.train_dataloader.batch_size == 8
    assert cfg.val_dataloader.batch_size == 8


def test_images_are_normalised_as_in_the_pretraining(tmp_path):
    """A model that takes BGR is probed with it, less the means of B, G and R."""
    mean, std = [103.53, 116.28, 123.675], [57.375, 57.12, 58.395]
    cfg = load_config(small.SOCO, RECIPE)
    cfg.model.data_preprocessor = dict(
        type='ViewDataPreprocessor', mean=mean, std=std, rgb_to_bgr=True
    )
    pretraining = MODELS.build(cfg.model)
    path = tmp_path / 'checkpoint.pth'
    torch.save(
        dict(state_dict=pretraining.state_dict(), meta=dict(cfg=cfg.pretty_text)), path
    )
    probe = MODELS.build(probe_config(read_backbone(path)).model)
    images = torch.randint(256, (2, 56, 56, 3), dtype=torch.uint8)
    own = pretraining.data_preprocessor(dict(views=[images], boxes=[], valid=[]), False)
    seen = probe.data_preprocessor(dict(inputs=images.permute(0, 3, 1, 2)))
    torch.testing.assert_close(seen['inputs'], own['views'][0])
    expected = (images.flip(-1) - torch.tensor(mean)) / torch.tensor(std)
    torch.testing.assert_close(seen['inputs'], expected.permute(0, 3, 1, 2))


def test_checkpoint_tells_its_backbone(weights, tmp_path):
    recipe = load_config(small.SOCO, RECIPE).model
    c4 = load_config('soco_r50_c4_100e')
    state_dict = {'backbone.conv1.weight': torch.zeros(1)}
    assert read_backbone(weights).model == recipe
    path = tmp_path / 'checkpoint.pth'
    torch.save(dict(state_dict=state_dict, meta=dict(cfg=c4.pretty_text)), path)
    assert read_backbone(path).model == c4.model
    assert read_backbone(path, small.SOCO).model == load_config(small.SOCO).model
    for silent in ({}, dict(meta={}), dict(meta=None)):
        torch.save(dict(state_dict=state_dict, **silent), path)
        assert read_backbone(path).model.backbone.depth == 50
    meta = dict(cfg='model = dict(neck=None)')
    torch.save(dict(state_dict=state_dict, meta=meta), path)
    with pytest.raises(SoCoError, match='no model.backbone'):
        probe_config(read_backbone(path))


def features_of(folder, model):
    """Features by Pillow and plain PyTorch, and each image's class."""
    mean = torch.tensor([123.675, 116.28, 103.53])
    std = torch.tensor([58.395, 57.12, 57.375])
    images, labels = [], []
    for path in sorted(folder.rglob('*.png')):
        image = Image.open(path).convert('RGB')
        image = image.resize((64, 64), Image.BILINEAR).crop((4, 4, 60, 60))
        images.append((torch.from_numpy(np.array(image)) - mean) / std)
        labels.append(path.parent.name)
    with torch.no_grad():
        maps = model.backbone(torch.stack(images).permute(0, 3, 1, 2))[-1]
    return maps.mean((2, 3)).numpy(), labels


def test_knn_equals_scikit_learn_on_the_features(
    folders, pretrained, weights, tmp_path
):
    train, val = folders
    result = knn_probe(
        small_config(weights), weights, train, val, k=9, out=tmp_path / 'out'
    )
    reference = KNeighborsClassifier(
        9, metric='cosine', weights=lambda distances: np.exp((1 - distances) / 0.07)
    )
    _, model = pretrained
    reference.fit(*features_of(train, model))
    expected = reference.score(*features_of(val, model))
    assert result.top1 == pytest.approx(100 * expected, abs=1e-3)
    assert result.top1 > 50 and result.top5 is None
    assert (result.num_train, result.num_val) == (36, 15)
    assert json.loads((tmp_path / 'out/knn.json').read_text()) == result.to_dict()
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['knn.json']


def test_linear_probe_learns_and_leaves_the_backbone_alone(folders, weights, tmp_path):
    cfg = small_config(weights, epochs=10, batch_size=12)
    with exclusive(tmp_path / 'out', 'a probe', inside=True):
        with pytest.raises(UsageError, match='Another process is making a probe'):
            linear_probe(cfg, weights, tmp_path / 'out', *folders)
    result = linear_probe(cfg, weights, tmp_path / 'out', *folders)
    assert result.top1 >= 90 and result.top5 is None
    written = json.loads((tmp_path / 'out/linear.json').read_text())
    assert written == result.to_dict()
    trained = torch.load(tmp_path / 'out/checkpoints/epoch_10.pth')
    before = torch.load(weights)['state_dict']
    names = [name for name in before if name.startswith('backbone.')]
    for name in names:
        assert torch.equal(trained['state_dict'][name], before[name]), name
    assert trained['state_dict'].keys() == {*names, 'head.fc.weight', 'head.fc.bias'}
    # The classifier alone is optimised, at the scaled learning rate.
    assert len(trained['optimizer']['state']) == 2
    groups = trained['optimizer']['param_groups']
    assert groups[0]['initial_lr'] == pytest.approx(30 * 12 / 256)

    with pytest.raises(UsageError, match='holds the checkpoints'):
        linear_probe(cfg, weights, tmp_path / 'out', *folders)
    cfg = small_config(weights, epochs=10, batch_size=12)
    again = linear_probe(cfg, weights, tmp_path / 'out', *folders, resume=True)
    assert again == result
    # Of other weights or data it is another probe.
    saved = torch.load(weights)
    other = dict(saved['state_dict'])
    other[names[0]] = other[names[0]] + 1
    torch.save(dict(saved, state_dict=other), tmp_path / 'other.pth')
    cfg = small_config(weights, epochs=10, batch_size=12)
    with pytest.raises(UsageError, match='a probe of other weights than .*other.pth'):
        linear_probe(
            cfg, tmp_path / 'other.pth', tmp_path / 'out', *folders, resume=True
        )
    train = shutil.copytree(folders[0], tmp_path / 'more')
    cfg = small_config(weights, epochs=10, batch_size=12)
    with pytest.raises(UsageError, match='a probe of other data than .*more'):
        linear_probe(cfg, weights, tmp_path / 'out', train, folders[1], resume=True)
    assert json.loads((tmp_path / 'out/linear.json').read_text()) == written


def test_top5_of_more_than_five_classes(folders, weights, tmp_path):
    for i in range(3):
        for folder in folders:
            shutil.copytree(folder / PHOTOS[i], folder / str(i))
    result = knn_probe(small_config(weights), weights, *folders, k=15)
    assert result.num_classes == 6
    assert result.top1 < result.top5 <= 100


def test_image_that_cannot_be_read_ends_in_a_sentence(
    folders, weights, tmp_path, stop_workers
):
    train, val = folders
    broken = val / 'coins/3.png'
    broken.write_bytes(broken.read_bytes()[:200])
    cfg = small_config(weights, epochs=1)
    cfg.val_dataloader.update(num_workers=1)
    with pytest.raises(SoCoError, match=r'^\S*coins/3.png is damaged[^\n]*$'):
        knn_probe(cfg, weights, train, val, k=5, out=tmp_path / 'out')
    stop_workers()
    with pytest.raises(SoCoError, match=r'^\S*coins/3.png is damaged[^\n]*$'):
        linear_probe(cfg, weights, tmp_path / 'linear', train, val)
    assert not list(tmp_path.rglob('knn.json'))
    assert not list(tmp_path.rglob('linear.json'))


def test_what_does_not_fit_is_refused(folders, weights, tmp_path, demo_images):
    train, val = folders
    cfg = small_config(weights)
    with pytest.raises(UsageError, match='37 neighbours cannot vote.*36 im'):
        knn_probe(cfg, weights, train, val, k=37)
    with pytest.raises(UsageError, match='no class folders'):
        knn_probe(cfg, weights, train, demo_images)
    with pytest.raises(UsageError, match='no class folders'):
        linear_probe(cfg, weights, tmp_path / 'out', demo_images, val)
    (val / 'coins').rename(val / 'coin')
    with pytest.raises(UsageError, match=r'has the class coin, which .* mean coins\?'):
        knn_probe(cfg, weights, train, val)
    with pytest.raises(UsageError, match='has the class coin, which'):
        linear_probe(cfg, weights, tmp_path / 'out', train, val)
    r50 = probe_config(read_backbone(weights))
    r50.model.backbone.depth = 50
    with pytest.raises(
        SoCoError, match='does not match the config: missing tensor layer1'
    ):
        knn_probe(r50, weights, train, val)
    with pytest.raises(UsageError, match='There is no checkpoint'):
        read_backbone(tmp_path / 'none.pth')


@pytest.fixture
def annotations(folders, tmp_path):
    """The same crops side by side in images, three in each, as COCO."""
    root = tmp_path / 'images'
    root.mkdir()
    names = [dict(id=i, name=name) for i, name in enumerate(PHOTOS, 1)]
    for folder in folders:
        images, objects = [], []
        for number in range(len(list((folder / PHOTOS[0]).iterdir()))):
            canvas = np.zeros((200, 600, 3), np.uint8)
            for category, name in enumerate(PHOTOS, 1):
                crop = cv2.imread(str(folder / name / f'{number}.png'))
                h, w = crop.shape[:2]
                x, y = 200 * category - 190, 10
                canvas[y : y + h, x : x + w] = crop
                objects.append(
                    dict(
                        id=len(objects) + 1,
                        image_id=number,
                        category_id=category,
                        bbox=[x, y, w, h],
                    )
                )
            images.append(
                dict(
                    id=number,
                    file_name=f'{folder.name}{number}.png',
                    width=600,
                    height=200,
                )
            )
            cv2.imwrite(str(root / images[-1]['file_name']), canvas)
        content = dict(images=images, categories=names, annotations=objects)
        (tmp_path / f'{folder.name}.json').write_text(json.dumps(content))
        write_voc(tmp_path / 'voc', content, root, folder.name)
        write_yolo(tmp_path / 'yolo', content, root, folder.name)
    (tmp_path / 'yolo/data.yaml').write_text(
        f'train: images/train\nval: images/val\n{names_of(content)}'
    )
    return tmp_path


@pytest.mark.parametrize(
    'train, val, images',
    [
        ('train.json', 'val.json', 'images'),
        ('yolo/data.yaml', None, None),
        ('yolo', 'yolo', None),
        ('voc', None, None),
        ('voc/ImageSets/Main/train.txt', 'voc/ImageSets/Main/val.txt', None),
        ('voc/ImageSets/Main/train.txt', 'val.json', 'voc/JPEGImages'),
    ],
)
def test_annotated_objects_are_classified_as_their_crops(
    annotations, folders, weights, train, val, images, capsys
):
    wanted = knn_probe(small_config(weights), weights, *folders, k=9)
    capsys.readouterr()
    found = knn_probe(
        small_config(weights),
        weights,
        annotations / train,
        val and annotations / val,
        k=9,
        images=images and annotations / images,
    )
    assert found.samples == 'objects' and wanted.samples == 'images'
    for key in ('top1', 'num_train', 'num_val', 'num_classes'):
        assert getattr(found, key) == getattr(wanted, key), key
    printed, progress = capsys.readouterr()
    assert printed.startswith('train: 36 objects on 12 images of ')
    assert 'Features of train: 36/36 objects, ' in progress
    assert '\nval: 15 objects on 5 images of ' in printed


def test_linear_probe_learns_from_annotated_objects(annotations, weights, tmp_path):
    cfg = small_config(weights, epochs=10, batch_size=12)
    result = linear_probe(
        cfg, weights, tmp_path / 'out', annotations / 'yolo/data.yaml'
    )
    assert result.top1 >= 90 and result.samples == 'objects'
    assert (result.num_train, result.num_val) == (36, 15)
    saved = Config.fromfile(next(tmp_path.glob('out/*.py')))
    assert saved.train_dataloader.dataset.classes == list(PHOTOS)


def test_what_is_left_out_of_annotations_is_said(annotations, weights, capsys):
    path = annotations / 'val.json'
    content = json.loads(path.read_text())
    first, second, third, fourth, *_ = content['annotations']
    first['iscrowd'] = 1
    second['ignore'] = 1
    third['bbox'] = [10, 10, 7, 20]
    fourth['bbox'] = [-50, 10, 150, 100]
    path.write_text(json.dumps(content))
    result = knn_probe(
        small_config(weights),
        weights,
        annotations / 'train.json',
        path,
        k=3,
        images=annotations / 'images',
    )
    assert result.num_val == 12
    printed = capsys.readouterr().out.partition('\nval: ')[2]
    for line in (
        '1 crowd: not ',
        '1 ignored object: not ',
        '1 tiny object: with a side of less than 8 pixels',
        '1 box that reaches out of its image: clipped',
    ):
        assert f'\n  {line}' in printed
    knn_probe(
        small_config(weights), weights, path, path, k=3, images=annotations / 'images'
    )
    assert '4 images are also in train' in capsys.readouterr().out
    # By another way.
    images = annotations / 'voc/../images'
    knn_probe(
        small_config(weights),
        weights,
        path,
        path,
        k=3,
        images=annotations / 'images',
        val_images=images,
    )
    assert '4 images are also in train' in capsys.readouterr().out


def test_annotations_that_do_not_fit_are_refused(annotations, folders, weights):
    cfg, images = small_config(weights), annotations / 'images'
    train, val = annotations / 'train.json', annotations / 'val.json'
    with pytest.raises(UsageError, match='holds annotations, but .*val does'):
        knn_probe(cfg, weights, train, folders[1], images=images)
    with pytest.raises(
        UsageError, match='val.json holds annotations, but .*train class folders'
    ):
        knn_probe(cfg, weights, folders[0], val)
    with pytest.raises(UsageError, match='images is given as the images of'):
        knn_probe(cfg, weights, *folders, images=images)
    with pytest.raises(UsageError, match='does not say which images are for'):
        knn_probe(cfg, weights, train, images=images)
    with pytest.raises(UsageError, match='does not say where its images are'):
        knn_probe(cfg, weights, train, val)
    with pytest.raises(UsageError, match='37 neighbours.*holds 36 objects'):
        knn_probe(cfg, weights, train, val, k=37, images=images)
    content = json.loads(val.read_text())
    content['categories'][0]['name'] = 'moon'
    val.write_text(json.dumps(content))
    with pytest.raises(UsageError, match='has objects of the class moon, wh'):
        knn_probe(cfg, weights, train, val, images=images)
    content['annotations'] = content['annotations'][:1]
    val.write_text(json.dumps(content))
    with pytest.raises(UsageError, match='has objects of 1 class. Give'):
        knn_probe(cfg, weights, val, train, images=images)


def test_the_same_folder_for_both_is_said(folders, weights, capsys):
    train, val = folders
    knn_probe(small_config(weights), weights, train, train, k=3)
    assert 'makes the accuracy too good' in capsys.readouterr().out
    knn_probe(small_config(weights), weights, train, val, k=3)
    assert 'too good' not in capsys.readouterr().out


def cli(*args):
    args = build_parser().parse_args(['probe', *map(str, args)])
    args.function(args)


def test_command_prints_the_result(folders, weights, capsys):
    train, val = folders
    cli(weights, '--train', train, '--val', val, '--k', 3, '--workers', 0)
    printed = capsys.readouterr().out
    assert printed.startswith('knn: top-1 ')
    assert '(15 images in 3 classes, trained on 36)' in printed
    with pytest.raises(UsageError, match='--lr is for --method linear'):
        cli(weights, '--train', train, '--val', val, '--lr', 3)
    with pytest.raises(UsageError, match='--k is for --method knn'):
        cli(weights, '--train', train, '--val', val, '--k', 3, '--method', 'linear')
    with pytest.raises(UsageError, match='train does not say what to clas'):
        cli(weights, '--train', train)


def test_command_takes_annotations(annotations, weights, capsys):
    cli(weights, '--train', annotations / 'yolo/data.yaml', '--k', 3, '--workers', 0)
    assert '(15 objects in 3 classes, trained on 36)' in (capsys.readouterr().out)
    cli(
        weights,
        '--train',
        annotations / 'train.json',
        '--val',
        annotations / 'val.json',
        '--images',
        annotations / 'images',
        '--val-images',
        annotations / 'voc/JPEGImages',
        '--k',
        3,
        '--workers',
        0,
    )
    assert '(15 objects in 3 classes' in capsys.readouterr().out


def test_tool_runs_a_config(folders, weights, tmp_path, capsys):
    train, val = folders
    done = call(
        capsys,
        *(LINEAR_PROBE, weights, '--train', train, '--val', val),
        *('--work-dir', tmp_path / 'out', '--cfg-options'),
        'model.backbone.depth=18',
        'model.backbone.base_channels=32',
        'train_cfg.max_epochs=1',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        'val_dataloader.num_workers=0',
        'val_dataloader.persistent_workers=False',
        'train_dataloader.dataset.pipeline.1.scale=56',
        tool='tools/benchmarks/linear_probe.py',
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / 'out/linear.json').read_text())
    assert f'linear: top-1 {result["top1"]:.2f} %' in done.stdout
    assert result['epochs'] == 1 and result['num_val'] == 15


@pytest.mark.slow
def test_two_processes_train_a_linear_probe_and_resume_it(folders, weights, tmp_path):
    train, val = folders
    out = tmp_path / 'out'

    def launch(*arguments, epochs):
        return subprocess.run(
            [
                *(sys.executable, '-m', 'soco_mm.cli.launch', '--nproc_per_node=2'),
                'tools/benchmarks/linear_probe.py',
                *(LINEAR_PROBE, weights, '--train', train, '--val', val),
                *('--work-dir', out, '--launcher', 'pytorch', *arguments),
                '--cfg-options',
                'model.backbone.depth=18',
                'model.backbone.base_channels=32',
                f'train_cfg.max_epochs={epochs}',
                'train_dataloader.batch_size=6',
                'train_dataloader.num_workers=0',
                'train_dataloader.persistent_workers=False',
                'val_dataloader.num_workers=0',
                'val_dataloader.persistent_workers=False',
            ],
            cwd=ROOT,
            env=dict(os.environ, OMP_NUM_THREADS='1'),
            capture_output=True,
            text=True,
        )

    done = launch(epochs=1)
    assert done.returncode == 0, done.stderr
    result = json.loads((out / 'linear.json').read_text())
    assert (result['num_train'], result['num_val']) == (36, 15)
    # Each of the 15 counts once, although 2 processes classify 8 each.
    assert result['top1'] * 15 % 100 == pytest.approx(0, abs=0.01)
    assert done.stdout.count('top-1') == 1
    done = launch(epochs=2)
    assert done.returncode == 2
    assert done.stderr.count('already holds the checkpoints of a training') == 1
    done = launch('--resume', epochs=2)
    assert done.returncode == 0, done.stderr
    assert 'Epoch(train) [2]' in done.stdout and 'Epoch(train) [1]' not in done.stdout
    (last,) = (out / 'last_checkpoint').read_text().splitlines()
    assert last.endswith('epoch_2.pth')


def test_a_linear_probe_goes_on_from_its_checkpoint(
    folders, weights, tmp_path, capsys, monkeypatch
):
    train, val = folders
    config = small_config(weights)
    monkeypatch.setattr(
        sys.modules[probe.__module__],
        'probe_config',
        lambda *args, epochs, **kwargs: small_config(weights, epochs=epochs),
    )
    command = ['probe', weights, '--train', train, '--val', val, '--method', 'linear']
    command += ['--out', tmp_path / 'out', '--epochs']
    assert call(capsys, *command, 1).returncode == 0
    done = call(capsys, *command, 2)
    assert done.returncode == 2 and 'Continue it with --resume' in done.stderr
    assert call(capsys, *command, 2, '--resume').returncode == 0
    assert json.loads((tmp_path / 'out/linear.json').read_text())['epochs'] == 2
    assert (tmp_path / 'out/last_checkpoint').read_text().endswith('epoch_2.pth')
    # It is not another result's folder.
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/job.json').touch()
    with pytest.raises(UsageError, match='holds job.json of another result'):
        linear_probe(config, weights, tmp_path / 'run', train, val)
    done = call(capsys, *command[:6], '--resume')
    assert done.returncode == 2 and '--resume is for --method linear' in done.stderr
