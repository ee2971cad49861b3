"""The training step of the authors' released code, to compare with.

Runs their own files, from a clone of https://github.com/hologerry/SoCo, on a CPU
and without torchvision: what they import from elsewhere is put in its place.
Nothing of what they compute is changed but SyncBN, which becomes BN: one process
has the statistics of its batch either way.
"""

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType
from unittest import mock

import mmcv.cnn
import torch
from mmcv.ops import roi_align
from mmengine.model import xavier_init
from torch import Tensor, nn

# As tools/SoCo_FPN_100ep.sh sets them.
ARGUMENTS = dict(
    feature_dim=128,
    head_type='mlp_head',
    contrast_num_negative=65536,
    contrast_momentum=0.99,
    contrast_temperature=0.07,
    output_size=7,
    aligned=True,
    in_channels=[256, 512, 1024, 2048],
    out_channels=256,
    num_outs=4,
    start_level=0,
    end_level=-1,
    add_extra_convs=False,
    extra_convs_on_inputs=False,
    relu_before_extra_convs=False,
    start_epoch=1,
    epochs=1,
)
FINEST = (48, 96, 192)  # pixels of the largest boxes of P2, P3 and P4


def roi_align_as_torchvision(input, boxes, output_size, aligned) -> Tensor:
    """MMCV's RoIAlign by the arguments of torchvision's."""
    return roi_align(input, boxes, output_size, 1.0, 0, 'avg', aligned)


def import_released(folder: str | Path) -> ModuleType:
    """Import the package ``contrast`` of the released code.

    Args:
        folder (str | Path): The clone.
    """
    if not Path(folder, 'contrast/models/SoCo_FPN.py').is_file():
        raise SystemExit(f'{folder} is no clone of https://github.com/hologerry/SoCo.')
    torchvision, ops = ModuleType('torchvision'), ModuleType('torchvision.ops')
    vars(ops).update(roi_align=roi_align_as_torchvision)
    vars(torchvision).update(ops=ops)
    modules = {'torchvision': torchvision, 'torchvision.ops': ops}
    with (
        mock.patch.dict(sys.modules, modules),
        mock.patch.object(mmcv.cnn, 'xavier_init', xavier_init, create=True),
        mock.patch.object(sys, 'path', [str(folder), *sys.path]),
    ):
        importlib.import_module('contrast.models')
        released = importlib.import_module('contrast.lars')
        importlib.import_module('contrast.resnet')
        # mock.patch.dict forgets what was imported meanwhile.
        found = {name: sys.modules[name] for name in sys.modules if 'contrast' in name}
    sys.modules.update(found)
    return released


class ReleasedStep:
    """A step of the released FPN model with LARS, float32.

    Args:
        folder (str | Path): A clone of the released code.
        batch: Views, boxes and masks, see :func:`benchmark_step.make_batch`;
            three views, all boxes valid.
        steps (int): Steps of the training.
    """

    def __init__(self, folder: str | Path, batch, steps: int = 1000) -> None:
        lars = import_released(folder)
        code = sys.modules['contrast.models.SoCo_FPN']
        views, boxes, _ = batch
        arguments = argparse.Namespace(
            **ARGUMENTS,
            batch_size=len(views[0]),
            num_instances=steps * len(views[0]),
        )
        with (
            mock.patch.object(code, 'get_world_size', lambda: 1),
            mock.patch.object(
                nn.SyncBatchNorm, 'convert_sync_batchnorm', lambda module: module
            ),
        ):
            resnet = sys.modules['contrast.resnet'].resnet50
            self.model = code.SoCo_FPN(resnet, arguments)
        groups = lars.add_weight_decay(self.model, 1e-5)
        rate = len(views[0]) / 256
        self.optimizer = lars.LARS(torch.optim.SGD(groups, lr=rate, momentum=0.9))
        self.inputs = released_inputs(views, boxes)

    def loss(self) -> Tensor:
        """The loss of the batch."""
        return self.model(*self.inputs)

    def __call__(self) -> None:
        """Make the step."""
        loss = self.loss()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def released_inputs(views: list[Tensor], boxes: list[Tensor]) -> tuple:
    """Arguments of the released model for the proposals of a batch.

    Args:
        views (list[Tensor]): Three, (N, 3, H, W) each.
        boxes (list[Tensor]): (N, K, 4) each, x1 y1 x2 y2 in pixels of the view.
    """
    relative = [each / view.shape[-1] for each, view in zip(boxes, views)]
    places = [place(each) for each in boxes]
    first, second, third = relative
    return (
        *views,
        *(first, first, second, third),
        *(places[0] @ each.transpose(1, 2) for each in places[1:]),
    )


def place(boxes: Tensor) -> Tensor:
    """Where of all levels a box is, (N, 4 K, K), one 1 in each column."""
    sides = ((boxes[..., 2:] - boxes[..., :2]).prod(-1)).sqrt()
    levels = torch.bucketize(sides, sides.new_tensor(FINEST))
    at = nn.functional.one_hot(levels, 4).transpose(1, 2)  # (N, 4, K)
    return (at[..., None] * torch.eye(boxes.size(1))).flatten(1, 2)
