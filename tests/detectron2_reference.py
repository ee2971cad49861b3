"""Detectron2's backbones and heads in plain PyTorch, from its config's keys.

Written after its ``modeling/backbone/resnet.py`` and ``fpn.py`` and its
``modeling/roi_heads``, with the names of its parameters: a convolution owns
the norm that follows it.
"""
import torch
import torch.nn.functional as F
from torch import nn

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3)
}


class Conv2d(nn.Conv2d):

    def __init__(self, ins, outs, size, stride=1, norm='SyncBN'):
        super().__init__(
            ins, outs, size, stride, size // 2, bias=(not norm))
        # Its SyncBN is PyTorch's, which computes the same in evaluation.
        self.norm = nn.SyncBatchNorm(outs) if norm else None

    def forward(self, x):
        x = super().forward(x)
        return x if self.norm is None else self.norm(x)


class Block(nn.Module):

    def __init__(self, ins, outs, width, stride, stride_in_1x1, norm):
        super().__init__()
        self.shortcut = None
        if ins != outs:
            self.shortcut = Conv2d(ins, outs, 1, stride, norm)
        if width is None:
            self.conv1 = Conv2d(ins, outs, 3, stride, norm)
            self.conv2 = Conv2d(outs, outs, 3, 1, norm)
            self.conv3 = None
        else:
            first, second = (stride, 1) if stride_in_1x1 else (1, stride)
            self.conv1 = Conv2d(ins, width, 1, first, norm)
            self.conv2 = Conv2d(width, width, 3, second, norm)
            self.conv3 = Conv2d(width, outs, 1, 1, norm)

    def forward(self, x):
        out = self.conv2(F.relu(self.conv1(x)))
        if self.conv3 is not None:
            out = self.conv3(F.relu(out))
        return F.relu(out + (x if self.shortcut is None else self.shortcut(x)))


def make_stage(index, cfg, blocks=None):
    """Stage ``res{index + 2}``."""
    outs = cfg['RES2_OUT_CHANNELS'] * 2**index
    width = None if cfg['DEPTH'] < 50 else 64 * 2**index
    ins = 64 if index == 0 else outs // 2
    return nn.Sequential(*[
        Block(ins if number == 0 else outs, outs, width,
              2 if index > 0 and number == 0 else 1, cfg['STRIDE_IN_1X1'],
              cfg['NORM'])
        for number in range(blocks or BLOCKS[cfg['DEPTH']][index])
    ])


class ResNet(nn.Module):

    def __init__(self, cfg, stages):
        super().__init__()
        self.stem = nn.Module()
        self.stem.conv1 = Conv2d(3, 64, 7, 2, cfg['NORM'])
        self.stages = stages
        for index in range(stages):
            self.add_module(f'res{index + 2}', make_stage(index, cfg))

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.stem.conv1(x)), 3, 2, 1)
        outs = []
        for index in range(self.stages):
            x = getattr(self, f'res{index + 2}')(x)
            outs.append(x)
        return outs


class FPN(nn.Module):

    def __init__(self, resnets, cfg):
        super().__init__()
        self.bottom_up = ResNet(resnets, 4)
        for index in range(4):
            ins = resnets['RES2_OUT_CHANNELS'] * 2**index
            outs, norm = cfg['OUT_CHANNELS'], cfg['NORM']
            self.add_module(f'fpn_lateral{index + 2}',
                            Conv2d(ins, outs, 1, 1, norm))
            self.add_module(f'fpn_output{index + 2}',
                            Conv2d(outs, outs, 3, 1, norm))

    def forward(self, x):
        stages = self.bottom_up(x)
        levels, above = {}, None
        for level in (5, 4, 3, 2):
            merged = getattr(self, f'fpn_lateral{level}')(stages[level - 2])
            if above is not None:
                merged = merged + F.interpolate(
                    above, scale_factor=2, mode='nearest')
            above = merged
            levels[f'P{level}'] = getattr(self, f'fpn_output{level}')(merged)
        return stages, levels


class BoxHead(nn.Module):

    def __init__(self, channels, cfg):
        super().__init__()
        self.convs = cfg['NUM_CONV']
        self.fcs = cfg['NUM_FC']
        for number in range(1, self.convs + 1):
            self.add_module(
                f'conv{number}',
                Conv2d(channels, cfg['CONV_DIM'], 3, 1, cfg['NORM']))
            channels = cfg['CONV_DIM']
        channels *= cfg['POOLER_RESOLUTION']**2
        for number in range(1, self.fcs + 1):
            self.add_module(f'fc{number}',
                            nn.Linear(channels, cfg['FC_DIM']))
            channels = cfg['FC_DIM']

    def forward(self, x):
        for number in range(1, self.convs + 1):
            x = F.relu(getattr(self, f'conv{number}')(x))
        x = torch.flatten(x, 1)
        for number in range(1, self.fcs + 1):
            x = F.relu(getattr(self, f'fc{number}')(x))
        return x


class GeneralizedRCNN(nn.Module):
    """What is pretrained of Mask R-CNN R50-FPN, or of R50-C4.

    Args:
        cfg (dict): ``MODEL`` of its config.
    """

    def __init__(self, cfg):
        super().__init__()
        self.roi_heads = nn.Module()
        self.is_c4 = 'FPN' not in cfg
        if self.is_c4:
            self.backbone = ResNet(cfg['RESNETS'], 3)
            self.roi_heads.res5 = make_stage(3, cfg['RESNETS'], blocks=3)
        else:
            self.backbone = FPN(cfg['RESNETS'], cfg['FPN'])
            self.roi_heads.box_head = BoxHead(cfg['FPN']['OUT_CHANNELS'],
                                              cfg['ROI_BOX_HEAD'])

    def features(self, image, rois):
        """Stages C2.., levels P2.. and features of the pooled objects."""
        stages, levels = self.backbone(image), {}
        if self.is_c4:
            objects = self.roi_heads.res5(rois).mean((2, 3))
        else:
            stages, levels = stages
            objects = self.roi_heads.box_head(rois)
        found = {f'C{index + 2}': map_ for index, map_ in enumerate(stages)}
        return {**found, **levels, 'objects': objects}
