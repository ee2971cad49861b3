"""What a run says about the features of objects."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import small
import torch
from mmengine.config import ConfigDict
from mmengine.model import revert_sync_batchnorm

from soco_mm.apis import PretrainResult
from soco_mm.datasets import ObjectViewDataset
from soco_mm.engine.config import load_config
from soco_mm.engine.hooks import ObjectMetricsHook
from soco_mm.engine.object_metrics import (
    make_annotated_samples,
    make_samples,
    measure_classes,
    measure_objects,
)
from soco_mm.engine.retrieval import (
    describe_retrieval,
    is_half_measured,
    read_retrieval,
)
from soco_mm.engine.training import train_model
from soco_mm.evaluation import ClassFolders
from soco_mm.registry import MODELS
from soco_mm.utils import read_image, read_size


def figures(found, rank, largest=255, objects=512):
    return dict(
        found=found, rank=rank, largest_rank=largest, objects=objects, images=64
    )


@pytest.fixture
def cfg(demo_images, store):
    return small.two_view_training(store, demo_images)


def losses(folder):
    lines = (folder / 'vis_data/scalars.json').read_text().splitlines()
    return [json.loads(line)['loss'] for line in lines]


def train(cfg, out, measured, **options):
    cfg = cfg.copy()
    cfg.visualizer.save_dir = str(out)
    if measured:
        cfg.custom_hooks = [*cfg.custom_hooks, dict(type='ObjectMetricsHook')]
    return torch.load(train_model(cfg, out, **options))['state_dict']


def test_measuring_changes_no_loss_and_no_weight(cfg, tmp_path):
    plain = train(cfg, tmp_path / 'plain', False)
    measured = train(cfg, tmp_path / 'measured', True)
    assert not (tmp_path / 'plain/retrieval.json').exists()
    found = read_retrieval(tmp_path / 'measured')
    assert found['before'] != found['after']
    assert losses(tmp_path / 'plain') == losses(tmp_path / 'measured')
    assert len(losses(tmp_path / 'plain')) == 4
    assert all(torch.equal(measured[name], value) for name, value in plain.items())


def test_a_resumed_training_keeps_what_was_measured_before_it(cfg, tmp_path):
    cfg.train_cfg.max_epochs = 1
    train(cfg, tmp_path, True)
    first = read_retrieval(tmp_path)
    cfg.train_cfg.max_epochs = 2
    train(cfg, tmp_path, True, resume=True)
    second = read_retrieval(tmp_path)
    assert second['before'] == first['before']
    assert second['after'] != first['after']
    # It ended while it was measured: nothing is trained, and the rest is measured.
    assert not is_half_measured(tmp_path)
    half = {key: second[key] for key in second if key != 'after'}
    (tmp_path / 'retrieval.json').write_text(json.dumps(half))
    assert is_half_measured(tmp_path)
    number = len(losses(tmp_path))
    train(cfg, tmp_path, True, resume=True)
    assert read_retrieval(tmp_path)['after'] == second['after']
    assert len(losses(tmp_path)) == number


@pytest.mark.parametrize('done, kept', [(1, False), (4, True)])
def test_figures_after_a_shorter_training_are_not_those_of_a_longer(
    tmp_path, done, kept
):
    written = dict(before=dict(found=0.1), after=dict(found=0.2))
    (tmp_path / 'retrieval.json').write_text(json.dumps(written))
    resumed = SimpleNamespace(iter=done, max_iters=4, work_dir=str(tmp_path))
    ObjectMetricsHook().before_train(resumed)
    assert ('after' in read_retrieval(tmp_path)) == kept
    assert read_retrieval(tmp_path)['before'] == written['before']


def test_objects_are_looked_for_every_n_epochs_without_a_change(cfg, tmp_path):
    cfg.train_cfg.max_epochs = 5
    plain = train(cfg, tmp_path / 'plain', False)
    cfg.custom_hooks = [
        *cfg.custom_hooks, dict(type='ObjectMetricsHook', interval=2)
    ]  # fmt: skip
    measured = train(cfg, tmp_path / 'measured', False)
    found = read_retrieval(tmp_path / 'measured')
    assert list(found) == ['before', 'during', 'after']
    assert [(each['epoch'], each['iter']) for each in found['during']] == [
        (2, 4),
        (4, 8),
    ]
    ranks = [found['before'], *found['during'], found['after']]
    assert len({each['rank'] for each in ranks}) == 4
    assert all(torch.equal(measured[name], value) for name, value in plain.items())


def test_views_are_always_the_same_and_figures_follow_from_them(cfg):
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    samples = make_samples(cfg)
    again = make_samples(cfg)
    assert len(samples) == 5
    for one, other in zip(samples, again):
        assert all(map(torch.equal, one['views'], other['views']))
        assert all(map(torch.equal, one['boxes'], other['boxes']))
    # Image by image in training mode would give other statistics of the batch.
    measured = measure_objects(model, samples)
    assert measured == measure_objects(model.eval(), samples)

    model.train()
    rows, views = [], []
    for v in range(2):
        images = torch.stack([each['views'][v] for each in samples])
        data = model.data_preprocessor(dict(views=[images]))
        boxes = torch.stack([each['boxes'][v] for each in samples])
        with torch.no_grad():
            maps = model.extract_feat(data['views'])
            h = model.roi_head(maps, boxes).view(*boxes.shape[:2], -1)
        views.append(h.double().numpy())
    for n, sample in enumerate(samples):
        for k in range(len(sample['valid'][0])):
            if sample['valid'][0][k] and sample['valid'][1][k]:
                rows.append((n, k))
    assert measured['objects'] == len(rows) > 20
    assert measured['largest_rank'] == min(len(rows) - 1, 64)
    gallery = np.array([views[0][row] for row in rows])
    values = np.linalg.svd(gallery - gallery.mean(0), compute_uv=False)
    p = values[values > 0] / values.sum()
    assert measured['rank'] == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-3)


@pytest.mark.parametrize('scope', ['', 'soco_mm.'])
def test_more_objects_are_measured_than_trained_on(cfg, scope):
    select = cfg.train_dataloader.dataset.pipeline[2]
    select.type = scope + select.type
    assert select.num_proposals == 4
    assert max(int(each['valid'][0].sum()) for each in make_samples(cfg)) > 4
    assert select.num_proposals == 4


def test_images_without_proposals_are_not_measured(cfg, tmp_path):
    for name in ('a', 'b'):
        (tmp_path / name).mkdir()
        (tmp_path / name / '1.png').write_bytes(b'')
    cfg.train_dataloader.dataset = ConfigDict(
        type=ClassFolders, data_root=str(tmp_path), pipeline=[]
    )
    cfg.pop('randomness')
    assert make_samples(cfg) == []


def test_figures_are_two_plain_lines():
    lines = describe_retrieval(
        dict(before=figures(0.41, 213.4), after=figures(0.83, 109.2))
    )
    assert lines == [
        'Objects found again in another view: 41 % before, 83 % after '
        '(of 512; chance 0.2 %)',
        'Effective rank of object features: 213 before, 109 after (of at most 255)',
    ]
    assert describe_retrieval(dict(before=figures(0.41, 213.4))) == []
    (first, _) = describe_retrieval(dict(after=figures(0.83, 109.2)))
    assert first.startswith('Objects found again in another view: 83 % after (of')


@pytest.mark.parametrize(
    ('before', 'after', 'word'),
    [
        (figures(0.4, 200), figures(0.5, 4.9), 'collapsed'),
        (figures(0.4, 200), figures(0.5, 19), 'collapsed'),
        (None, figures(0.5, 4.9), 'collapsed'),
        (figures(0.4, 200), figures(0.4, 90), 'not found more often'),
        (figures(0.4, 200), figures(0.5, 21), ''),
        (figures(1.0, 200), figures(1.0, 200), ''),  # there is nothing to gain
        # Three objects have a rank of two at the most.
        (figures(0.4, 1.9, 2, 3), figures(0.5, 1.8, 2, 3), ''),
    ],
)
def test_collapse_and_no_gain_are_warned_of(before, after, word):
    lines = describe_retrieval(dict(before=before, after=after))
    warnings = [line for line in lines if line.startswith('WARNING')]
    assert len(warnings) == bool(word)
    assert word in ''.join(warnings)


def test_notebooks_show_the_figures(tmp_path):
    text = json.dumps(dict(before=figures(0.1, 50), after=figures(0.6, 40)))
    (tmp_path / 'retrieval.json').write_text(text)
    html = PretrainResult.of(tmp_path, tmp_path, tmp_path)._repr_html_()
    assert '10 % before, 60 % after (of 512; chance 0.2 %)' in html


@pytest.fixture
def annotations(demo_images, tmp_path):
    """Two halves of each photo as objects of two classes, and one of a third."""
    images = [path.name for path in sorted(demo_images.glob('*.jpg'))]
    entries, objects = [], []
    for number, name in enumerate(images):
        width, height = read_size(demo_images / name)
        entries.append(dict(id=number, file_name=name, width=width, height=height))
        boxes = [(7, 0, 0, width / 2, height), (3, width / 2, 0, width / 2, height)]
        boxes += [(5, 0, 0, 40, 40)] * (number == 2)
        objects += [
            dict(id=10 * number + at, image_id=number, category_id=id_, bbox=box)
            for at, (id_, *box) in enumerate(boxes)
        ]
    categories = [dict(id=id_, name=f'class {id_}') for id_ in (7, 3, 5)]
    path = tmp_path / 'instances.json'
    content = dict(images=entries, annotations=objects, categories=categories)
    path.write_text(json.dumps(content))
    return path


def test_annotated_objects_are_seen_whole_and_with_their_class(
    cfg, annotations, demo_images
):
    samples = make_annotated_samples(cfg, annotations)
    names = [path.name for path in sorted(demo_images.glob('*.jpg'))]
    assert len(samples) == len(names) == 5
    for number, (name, sample) in enumerate(zip(names, samples)):
        expected = cv2.resize(
            read_image(demo_images / name), (64, 64), interpolation=cv2.INTER_AREA
        )
        assert (sample['views'][0].numpy() == expected).all()
        (boxes,) = sample['boxes']
        torch.testing.assert_close(
            boxes[:2], torch.tensor([[0, 0, 32, 64], [32, 0, 64, 64.0]])
        )
        valid = [True, True, number == 2]
        assert sample['valid'][0].tolist() == valid
        assert sample['labels'].tolist() == [0, 1, 2 if number == 2 else -1]


def test_same_class_is_what_the_nearest_neighbour_says(cfg, annotations):
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    samples = make_annotated_samples(cfg, annotations)
    measured = measure_classes(model, samples)
    model.train()
    images = torch.stack([each['views'][0] for each in samples])
    boxes = torch.stack([each['boxes'][0] for each in samples])
    # The box in place of one that is missing does not count, but batch norm sees it.
    for n in (0, 1, 3, 4):
        boxes[n, 2] = boxes[n, 0]
    data = model.data_preprocessor(dict(views=[images]))
    with torch.no_grad():
        h = model.roi_head(model.extract_feat(data['views']), boxes).view(5, 3, -1)
    h = torch.nn.functional.normalize(h.double(), dim=-1).numpy()
    rows = [(n, k) for n in range(5) for k in (range(3) if n == 2 else range(2))]
    hits = {0: [], 1: [], 2: []}
    for row in rows:
        others = [other for other in rows if other != row]
        best = max(others, key=lambda other: h[row] @ h[other])
        hits[row[1]].append(best[1] == row[1])
    assert measured['same_class'] == pytest.approx(
        (np.mean(hits[0]) + np.mean(hits[1])) / 2
    )
    assert (measured['objects'], measured['classes']) == (11, 2)
    assert measured['chance'] == pytest.approx(4 / 10)


def test_annotations_add_a_line(cfg, annotations, tmp_path):
    hook = dict(type='ObjectMetricsHook', ann=str(annotations))
    cfg.custom_hooks = [*cfg.custom_hooks, hook]
    cfg.train_cfg.max_epochs = 1
    train(cfg, tmp_path / 'RUN', False)
    (line,) = [
        each
        for each in describe_retrieval(read_retrieval(tmp_path / 'RUN'))
        if each.startswith('Nearest annotated object of the same class: ')
    ]
    assert line.endswith('after (mean over 2 classes; chance 40 %)')


def test_classes_of_one_object_each_add_none(cfg, annotations, tmp_path):
    content = json.loads(annotations.read_text())
    content['annotations'] = [content['annotations'][0], content['annotations'][3]]
    annotations.write_text(json.dumps(content))
    hook = dict(type='ObjectMetricsHook', ann=str(annotations))
    cfg.custom_hooks = [*cfg.custom_hooks, hook]
    cfg.train_cfg.max_epochs = 1
    train(cfg, tmp_path / 'RUN', False)
    found = read_retrieval(tmp_path / 'RUN')
    assert 'annotated' not in found['after']
    assert len(describe_retrieval(found)) in (2, 3)


def test_annotations_of_other_images_are_no_error(cfg, annotations, tmp_path):
    text = annotations.read_text().replace('.jpg', '.png')
    annotations.write_text(text)
    hook = ObjectMetricsHook(str(annotations))
    assert hook._annotated_samples(cfg) == []


def with_towers(model):
    """The small model with the towers of a one-stage detector as its head."""
    towers = dict(
        type='RTMDetSepBNHead',
        num_classes=3,
        in_channels=32,
        feat_channels=16,
        anchor_generator=dict(
            type='MlvlPointGenerator', offset=0, strides=[4, 8, 16, 32]
        ),
        norm_cfg=dict(type='BN'),
    )
    model.roi_head.pop('bbox_head')
    model.bbox_head = dict(type='ObjectDenseHead', head=towers)
    model.projector.in_channels = 32
    return model


@pytest.mark.parametrize(
    'kind', [pytest.param('c4', marks=pytest.mark.slow), 'frozen', 'towers']
)
def test_any_model_is_measured_and_stays_as_it_is(cfg, kind):
    samples = make_samples(cfg)
    if kind == 'c4':
        config = load_config('soco_r50_c4_100e').model
        config.projector.hid_channels = config.head.predictor.hid_channels = 16
    elif kind == 'frozen':
        config = cfg.model
        config.frozen_parts = ('backbone',)
    else:
        config = with_towers(cfg.model)
    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build(config)).train()
    model.init_weights()
    modes = [module.training for module in model.modules()]
    assert all(modes) == (kind != 'frozen')
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measured = measure_objects(model, samples)
    assert 0 <= measured['found'] <= 1 and measured['rank'] > 1
    assert [module.training for module in model.modules()] == modes
    assert model.state_dict().keys() == before.keys()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_measured_images_are_evenly_picked(cfg, monkeypatch):
    dataset = ObjectViewDataset
    picked, read = [], dataset.get_data_info

    def note(self, index):
        picked.append(index)
        return read(self, index)

    monkeypatch.setattr(dataset, 'get_data_info', note)
    assert len(make_samples(cfg, num_images=3)) == 3
    assert picked == [0, 2, 4]  # of five
