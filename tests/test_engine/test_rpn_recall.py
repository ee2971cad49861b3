"""Recall of a pretext's RPN, against loops over boxes."""

import numpy as np
import pytest
import small
import torch
from mmengine.config import ConfigDict

from soco_mm.engine.config import load_config
from soco_mm.engine.object_metrics import make_proposal_samples
from soco_mm.engine.retrieval import describe_retrieval
from soco_mm.engine.rpn_recall import NUMBER, rpn_recall, search_recall
from soco_mm.models.utils import build_detector_part
from soco_mm.models.utils.rpn import best_proposals
from soco_mm.proposals import ProposalStore
from soco_mm.registry import MODELS

SIZE = 64


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    return shared / (sum(areas) - shared)


@pytest.fixture
def cfg(demo_images, store):
    cfg = load_config(small.SOCO)
    dataset = cfg.train_dataloader.dataset
    dataset.update(data_root=str(demo_images), proposals=str(store))
    dataset.pipeline[1].views[0].size = SIZE
    return cfg


def build(cfg):
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    anchors = dict(small.RPN['anchor_generator'], strides=[4, 8, 16, 32])
    model.rpn_head = build_detector_part(dict(small.RPN, anchor_generator=anchors))
    return model


def test_samples_are_whole_images_with_all_proposals(cfg, store):
    opened = ProposalStore.open(store)
    samples = make_proposal_samples(cfg)
    assert [each['index'] for each in samples] == list(range(5))
    for index, sample in enumerate(samples):
        valid = sample['valid'][0].numpy()
        scale = SIZE / np.tile(opened.size(index), 2)
        expected = opened.boxes(index) * scale
        # Less than a pixel cannot be seen.
        expected = expected[(expected[:, 2:] - expected[:, :2] >= 1).all(1)]
        np.testing.assert_allclose(
            sample['boxes'][0].numpy()[valid], expected, rtol=1e-4
        )
        assert sample['views'][0].shape == (SIZE, SIZE, 3)


def test_best_proposals_are_the_highest_scores_after_nms(cfg):
    """Against the plain algorithm, on one level: boxes of others are kept anyway."""
    model = build(cfg).eval()
    generator = model.rpn_head.prior_generator
    generator.strides, generator.base_anchors = (
        generator.strides[:1],
        generator.base_anchors[:1],
    )
    view = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    feats = model.extract_feat([view])[:1]
    few = best_proposals(model.rpn_head, feats, (SIZE, SIZE), 100)
    whole = dict(
        nms_pre=10**6,
        max_per_img=10**6,
        nms=dict(type='nms', iou_threshold=1.0),
        min_bbox_size=0,
    )
    found = model.rpn_head.predict_by_feat(
        *model.rpn_head(feats),
        batch_img_metas=[dict(img_shape=(SIZE, SIZE))] * 2,
        cfg=ConfigDict(whole),
    )
    dropped = []
    for each, best in zip(found, few):
        kept = []
        # MMDetection looks at the thousand best only.
        for at in each.scores.argsort(descending=True)[:1000].tolist():
            box = each.bboxes[at].tolist()
            overlap = max((iou(box, other) for other in kept), default=0)
            if len(kept) < 100 and overlap <= 0.7:
                kept.append(box)
            elif len(kept) < 100:
                dropped.append(overlap)
        torch.testing.assert_close(best, torch.tensor(kept))
    assert min(dropped) < 0.75  # another threshold gives other boxes
    many = torch.cat(best_proposals(model.rpn_head, feats, (SIZE, SIZE), 1000))
    assert (many >= 0).all() and (many <= SIZE).all()


def test_recall_is_a_loop_over_boxes(cfg):
    model = build(cfg)
    samples = make_proposal_samples(cfg)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measured = rpn_recall(model, samples)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    model.train()
    images = torch.stack([each['views'][0] for each in samples])
    views = model.data_preprocessor(dict(views=[images]))['views']
    with torch.no_grad():
        feats = model.extract_feat(views)
    found = best_proposals(model.rpn_head, feats, (SIZE, SIZE), NUMBER)
    hits = []
    for sample, boxes in zip(samples, found):
        for target in sample['boxes'][0][sample['valid'][0]].tolist():
            hits.append(any(iou(target, box) >= 0.5 for box in boxes.tolist()))
    assert 0 < np.mean(hits) < 1
    assert measured == pytest.approx(np.mean(hits))


def test_the_search_finds_its_own_proposals(cfg):
    samples = make_proposal_samples(cfg)
    few = [each for each in samples if each['valid'][0].sum() <= NUMBER]
    assert search_recall(cfg, few) == 1
    # Boxes that lie elsewhere.
    for each in few:
        each['boxes'] = [torch.tensor([[0.0, 0, 1, 1]]).expand_as(each['boxes'][0])]
    assert search_recall(cfg, few) == 0


def test_the_figures_are_one_line():
    figures = dict(found=0.5, rank=30, largest_rank=63, objects=64, images=8)
    after = dict(number=100, proposals=0.71, objects=0.402, search=0.55)
    before = dict(after, proposals=0.12, objects=0.1)
    lines = describe_retrieval(
        dict(before=dict(figures, rpn=before), after=dict(figures, rpn=after))
    )
    assert (
        'Proposals that the 100 best boxes of the RPN find: 12 % before, 71 % after; '
        'annotated objects: 10 % before, 40 % after (100 of the proposals find 55 %)'
    ) in lines
    lines = describe_retrieval(
        dict(after=dict(figures, rpn=dict(number=100, proposals=0.71)))
    )
    assert lines[-1] == (
        'Proposals that the 100 best boxes of the RPN find: 71 % after'
    )
    # NaN, if there is none, is null in the file.
    lines = describe_retrieval(
        dict(after=dict(figures, rpn=dict(number=100, proposals=None)))
    )
    assert lines[-1].endswith('find: unknown after')
