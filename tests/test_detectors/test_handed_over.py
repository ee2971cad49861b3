"""Which parts of a pretrained model a detector gets."""

import copy
import json

import pytest
import small
import torch
from commands import refusal
from detector_configs import write_small

from soco_mm.apis import export_detector, export_weights, pretrain
from soco_mm.checkpoint.handed_over import (
    check_trained,
    given_parts,
    keep_parts,
    read_parts,
)
from soco_mm.checkpoint.pretrained import Pretrained
from soco_mm.cli import main
from soco_mm.detectors.build import build_detector
from soco_mm.detectors.fit import HandOff, fit_detector
from soco_mm.engine.config import load_config
from soco_mm.errors import SoCoError, UsageError
from soco_mm.registry import MODELS

NUMBERS = {'backbone': 120, 'neck': 48, 'head': 26}


def write(path, config=small.SOCO, **changes):
    """A checkpoint of a recipe, with keys added to its config."""
    cfg = load_config(config, small.USUAL_FPN)
    cfg.update(changes)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    small.save(path, model, cfg)
    return path


@pytest.fixture
def checkpoint(tmp_path):
    return write(tmp_path / 'epoch_1.pth')


def filled(report):
    return {name: len(each.filled) for name, each in report.parts.items()}


def test_what_was_exported_in_part_can_be_exported_again(tmp_path):
    path = write(tmp_path / 'epoch_1.pth', handed_over=['backbone', 'neck'])
    export_detector(path, tmp_path / 'out')
    report = export_weights(
        tmp_path / 'out/soco_weights.pth',
        tmp_path / 'a.safetensors',
        format='safetensors',
    )
    assert report.written == {key: NUMBERS[key] for key in ('backbone', 'neck')}


def test_parts_are_read_in_their_usual_order():
    assert read_parts(None) is None
    assert read_parts('rpn, neck') == ('neck', 'rpn')
    assert read_parts(['head', 'backbone']) == ('backbone', 'head')
    assert read_parts('all') == ('backbone', 'neck', 'head', 'rpn')
    for wrong, words in (
        ('backbone,nek', "no part 'nek'. Did you mean neck?"),
        ('', "no part ''"),
        ([], 'names no part'),
    ):
        with pytest.raises(UsageError) as error:
            read_parts(wrong)
        assert words in str(error.value)


def test_backbone_only_is_short_for_a_part():
    assert given_parts(None, True) == ('backbone',) == given_parts('backbone')
    assert given_parts(None, False) is None
    with pytest.raises(UsageError, match='Give only one'):
        given_parts('neck', True)


def test_res5_is_part_of_backbone_and_head():
    names = dict.fromkeys(
        ['backbone.conv1.weight', 'roi_head.shared_head.layer4.0.conv1.weight'], 0
    )
    for part, number in (('backbone', 2), ('head', 1)):
        kept, others = keep_parts(names, [part], 'c.pth')
        assert len(kept) == number and len(others) == 2 - number
    with pytest.raises(UsageError, match=r'no neck in c.pth.*parts: backbone, head\.'):
        keep_parts(names, ['backbone', 'neck'], 'c.pth')


@pytest.mark.parametrize('parts', ['backbone', 'backbone,neck', 'neck,head', 'all'])
def test_only_chosen_parts_are_filled(checkpoint, tmp_path, parts):
    out = tmp_path / 'out'
    report = export_detector(checkpoint, out, parts=parts)
    names = NUMBERS if parts == 'all' else parts.split(',')
    found = filled(report)
    for name, part in zip(NUMBERS, ('backbone', 'neck', 'box head')):
        assert found[part] == (NUMBERS[name] if name in names else 0)
    weights = torch.load(out / 'soco_weights.pth')['state_dict']
    assert len(weights) == sum(NUMBERS[name] for name in names)
    written = json.loads((out / 'report.json').read_text())
    assert len(written['not_handed_over']) == sum(NUMBERS.values()) - len(weights)
    # Without the backbone there is nothing to compare.
    assert (report.max_difference < 1e-4) == (parts != 'neck,head')
    said = report.describe()
    assert ('only these parts were asked for' in said) == (parts != 'all')
    assert ('it starts from random weights' in said) == (parts == 'neck,head')


def test_a_recipe_states_what_is_handed_over(tmp_path):
    path = write(tmp_path / 'epoch_1.pth', handed_over=['backbone', 'neck'])
    report = export_detector(path, tmp_path / 'default')
    assert filled(report)['neck'] == 48 and filled(report)['box head'] == 0
    assert 'not handed over: 26 of the box head, since the recipe' in report.describe()
    report = export_detector(path, tmp_path / 'all', parts='all')
    assert filled(report)['box head'] == 26 and not report.not_handed_over
    path = write(path, handed_over=['backbones'])
    with pytest.raises(UsageError, match="handed_over: there is no part 'backbones'"):
        export_detector(path, tmp_path / 'wrong')


def with_rpn(options=None, in_channels=32, **anchors):
    cfg = load_config(small.SOCO, options)
    cfg.model.neck.num_outs = 5
    cfg.model.rpn_head = dict(copy.deepcopy(small.RPN), in_channels=in_channels)
    cfg.model.rpn_head.anchor_generator.update(anchors)
    return Pretrained.untrained(cfg.model)


OWN = small.RPN['anchor_generator']
MEANS = 'bbox_coder=dict(target_means=[0.0, 0.0, 0.0, 0.1])'


@pytest.mark.parametrize(
    ('change', 'number'),
    [
        (f'anchor_generator=dict(scales={OWN["scales"]})', 6),
        ('anchor_generator=dict(scales=[8])', 0),
        (f'anchor_generator=dict(scales={OWN["scales"]}, ratios=[0.5, 1.0])', 0),
        (f'anchor_generator=dict(scales={OWN["scales"]}), {MEANS}', 0),
        # Without anchors at all.
        (
            "_delete_=True, type='FCOSHead', num_classes=1, in_channels=32, "
            'strides=[4, 8, 16, 32, 64]',
            0,
        ),
    ],
)
def test_an_rpn_of_other_boxes_is_left_out_as_a_whole(change, number, tmp_path):
    pretrained = with_rpn()
    assert sum(name.startswith('rpn_head.') for name in pretrained.weights) == 6
    given = tmp_path / 'given/detector.py'
    given.parent.mkdir()
    given.write_text(
        f"_base_ = '{small.MASK_RCNN}'\nmodel = dict(rpn_head=dict({change}))\n"
    )
    fitted = fit_detector(pretrained, tmp_path, HandOff(given, adapt=True))
    assert fitted.config == 'detector.py' and (tmp_path / fitted.config).is_file()
    kept = [name for name in fitted.weights if name.startswith('rpn_head.')]
    left = [name for name in fitted.report.unused if name.startswith('rpn_head.')]
    assert (len(kept), len(left)) == (number, 6 - number)
    assert len(fitted.report.parts['RPN'].filled) == number


def test_a_detector_without_an_rpn_takes_the_rest(tmp_path):
    detector = write_small(tmp_path, 'retinanet/retinanet_r18_fpn_1x_coco.py')
    pretrained = with_rpn(small.USUAL_FPN, in_channels=256)
    out = tmp_path / 'out'
    out.mkdir()
    fitted = fit_detector(pretrained, out, HandOff(detector, adapt=True))
    assert (out / fitted.config).is_file()
    assert len(fitted.report.parts['backbone'].filled) == NUMBERS['backbone']
    assert sum(name.startswith('rpn_head.') for name in fitted.report.unused) == 6


def test_the_plugins_mask_rcnn_has_the_anchors_of_the_pretraining(tmp_path):
    fitted = fit_detector(with_rpn(scales=[3], ratios=[1.0]), tmp_path, HandOff())
    assert len(fitted.report.parts['RPN'].filled) == 6 and not fitted.report.unused
    rpn_head = build_detector(tmp_path / fitted.config).rpn_head
    assert rpn_head.prior_generator.base_anchors[1].tolist() == [[-12, -12, 12, 12]]
    assert rpn_head.train_cfg.assigner.pos_iou_thr == 0.7


def test_an_export_that_would_hold_nothing_is_refused(tmp_path):
    pretrained = Pretrained.untrained(load_config(small.SOCO).model)
    detector = tmp_path / 'given/detector.py'
    detector.parent.mkdir()
    detector.write_text(
        f"_base_ = '{small.MASK_RCNN}'\n"
        'model = dict(roi_head=dict(bbox_head=dict(fc_out_channels=16)))\n'
    )
    with pytest.raises(SoCoError, match='takes none of the parts head'):
        fit_detector(pretrained, tmp_path, HandOff(detector, True, ('head',)))


def test_other_libraries_get_the_same_parts(checkpoint, tmp_path):
    written = export_weights(
        checkpoint, tmp_path / 'a.safetensors', format='safetensors', parts='backbone'
    )
    assert written.written == {'backbone': 120}
    assert written.left_out['neck'] == 48 and written.left_out['box head'] == 26
    # MMPretrain has only ResNets of the usual width.
    path = write(tmp_path / 'b.pth', 'soco_r18_fpn_quick', handed_over=['neck'])
    with pytest.raises(SoCoError, match='mmpretrain takes none of the parts neck'):
        export_weights(path, tmp_path / 'c.pth', format='mmpretrain')
    assert not (tmp_path / 'c.pth').exists()


def test_parts_are_chosen_on_the_command_line(checkpoint, tmp_path, capsys):
    out = tmp_path / 'out'
    main(['export', str(checkpoint), '--out', str(out), '--parts', 'backbone'])
    said = capsys.readouterr().out
    assert 'not handed over: 48 of the neck, 26 of the box head' in said
    for parts, words in (
        ('rpn', 'There is no rpn in'),
        ('bakcbone', 'Did you mean backbone?'),
    ):
        command = ['export', checkpoint, '--out', tmp_path / 'no', '--parts', parts]
        code, said = refusal(capsys, *command)
        assert code == 2 and words in said
        assert not (tmp_path / 'no').exists()
    file = tmp_path / 'a.safetensors'
    options = ['--format', 'safetensors', '--parts', 'neck']
    main(['export', str(checkpoint), '--out', str(file), *options])
    assert f'{file}: 48 tensors' in capsys.readouterr().out


def test_a_pretraining_hands_over_what_its_recipe_or_user_says(
    demo_images, store, tmp_path
):
    recipe = tmp_path / 'recipe.py'
    recipe.write_text(f"_base_ = '{small.SOCO}'\nhanded_over = ['backbone']\n")
    options = small.USUAL_FPN | {
        f'train_dataloader.dataset.pipeline.1.views.{i}.size': 64 for i in range(3)
    }
    given = dict(proposals=store, options=options, epochs=1, batch_size=2, workers=0)
    made = pretrain(demo_images, tmp_path / 'RUN', config=recipe, **given)
    report = json.loads(made.report.read_text())
    assert len(report['parts']['backbone']['filled']) == 120
    assert not report['parts']['neck']['filled']
    with pytest.raises(UsageError, match='no rpn in the config'):
        pretrain(demo_images, tmp_path / 'NO', config=recipe, parts='rpn', **given)
    assert not (tmp_path / 'NO').exists()
    made = pretrain(
        demo_images, tmp_path / 'TWO', config=recipe, parts='backbone,neck', **given
    )
    report = json.loads(made.report.read_text())
    assert len(report['parts']['neck']['filled']) == 48


@pytest.mark.parametrize(
    'parts, kept, refused',
    [
        (('backbone',), ('backbone',), True),
        (('backbone', 'neck'), ('backbone',), False),
        (('head',), ('backbone', 'roi_head'), True),
        (('head',), ('backbone', 'bbox_head'), True),
        (None, ('backbone',), False),
        (('backbone',), (), False),
    ],
)
def test_what_is_kept_as_it_is_is_not_handed_over_alone(parts, kept, refused):
    model = dict(frozen_parts=kept, neck=dict(type='FPN'))
    # The last stage of C4's backbone is trained as the head.
    res5 = dict(frozen_parts=('backbone',), roi_head=dict(shared_head=dict(depth=50)))
    check_trained(res5, ('backbone',))
    if not refused:
        check_trained(model, parts)
        return
    with pytest.raises(UsageError, match=f'Only the {parts[0]} would.*--train back'):
        check_trained(model, parts)
