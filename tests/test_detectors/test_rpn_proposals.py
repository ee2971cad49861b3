"""Proposals by the RPN of a pretraining."""

import json

import numpy as np
import pytest
import small
import torch
from commands import refusal
from small import RPN

from soco_mm.cli import main
from soco_mm.detectors.rpn_proposals import RPNProposals, view_size
from soco_mm.engine.config import load_config
from soco_mm.errors import SoCoError, UsageError
from soco_mm.models.utils.rpn import best_proposals
from soco_mm.proposals import METHODS, ProposalStore, build_settings
from soco_mm.registry import MODELS
from soco_mm.utils import file_hash, read_image

SIZE = 96


def write(path, seed=0, rpn=RPN):
    """A checkpoint of the small recipe with an RPN."""
    cfg = load_config(small.SOCO)
    cfg.model.neck.num_outs = 5
    cfg.model.rpn_head = rpn
    cfg.train_dataloader.dataset.pipeline[1].views[0].size = SIZE
    torch.manual_seed(seed)
    model = MODELS.build(cfg.model)
    model.init_weights()
    small.save(path, model, cfg)
    return model


def test_boxes_are_those_of_the_model_on_the_resized_image(tmp_path, demo_images):
    path = tmp_path / 'epoch_1.pth'
    model = write(path).eval()
    assert view_size(path) == SIZE
    image = read_image(demo_images / 'coffee.jpg')
    height, width = image.shape[:2]
    boxes = RPNProposals(str(path), num_boxes=20)(image)
    assert boxes.shape == (20, 4) and boxes.dtype == np.float32
    # Another resizing by area: mean over the source pixels of each target pixel.
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    small_image = torch.nn.functional.interpolate(pixels, (SIZE, SIZE), mode='area')
    view = small_image.round().permute(0, 2, 3, 1)
    with torch.no_grad():
        (view,) = model.data_preprocessor(dict(views=[view]))['views']
        (found,) = best_proposals(
            model.rpn_head, model.extract_feat([view]), (SIZE, SIZE), 20
        )
    scale = torch.tensor([width, height, width, height]) / SIZE
    expected = (found * scale).numpy()
    # The first ones; scores of random weights are close to one another.
    near = np.abs(boxes[:, None] - expected[None]).max(-1).min(1)
    assert np.median(near) < 3
    assert (boxes >= 0).all() and (boxes <= [width, height, width, height]).all()


def make(checkpoint, images, out, *options):
    command = ['proposals', str(images), '--out', str(out), '--method', 'rpn']
    main(
        [*command, '--checkpoint', str(checkpoint), '--size-range', '0', '2', *options]
    )
    opened = ProposalStore.open(out)
    return {path: opened.boxes(i).tolist() for i, path in enumerate(opened)}


@pytest.mark.slow
def test_the_command_makes_the_same_boxes_with_any_workers(
    tmp_path, demo_images, capsys
):
    path = tmp_path / 'epoch_1.pth'
    write(path)
    one = make(path, demo_images, tmp_path / 'one', '--workers', '1')
    two = make(path, demo_images, tmp_path / 'two', '--workers', '2')
    assert one == two and len(one) == 5
    few = make(path, demo_images, tmp_path / 'few', '--max-boxes', '9')
    assert max(map(len, few.values())) <= 9 < max(map(len, one.values())) <= 100
    header = json.loads((tmp_path / 'one/header.json').read_text())
    assert header['generator'] == dict(
        type=METHODS['rpn'], checkpoint=str(path), hash=file_hash(path)
    )
    capsys.readouterr()
    write(path, seed=1)
    options = ['--method', 'rpn', '--checkpoint', path, '--size-range', 0, 2]
    code, said = refusal(
        capsys, 'proposals', demo_images, '--out', tmp_path / 'one', *options
    )
    assert code == 2 and 'other settings (generator.hash' in said
    other = make(path, demo_images, tmp_path / 'one', '--overwrite')
    assert other != one


def test_wrong_checkpoints_are_refused(tmp_path):
    with pytest.raises(UsageError, match='needs the checkpoint'):
        build_settings(method='rpn')
    with pytest.raises(UsageError, match='There is no checkpoint'):
        build_settings(method='rpn', checkpoint=str(tmp_path / 'no.pth'))
    with pytest.raises(UsageError, match='--checkpoint does nothing'):
        build_settings(checkpoint='no.pth')
    path = tmp_path / 'epoch_1.pth'
    write(path, rpn=None)
    with pytest.raises(UsageError, match='has no RPN'):
        RPNProposals(str(path))
    write(path)
    settings = build_settings(method='rpn', checkpoint=str(path))['generator']
    write(path, seed=1)
    with pytest.raises(SoCoError, match='has changed since'):
        RPNProposals(str(path), hash=settings['hash'])
    checkpoint = torch.load(path)
    model = load_config(small.SOCO).model
    meta = dict(model=model.to_dict())
    torch.save(dict(state_dict=checkpoint['state_dict'], meta=meta), path)
    with pytest.raises(SoCoError, match='does not say how large'):
        view_size(path)
