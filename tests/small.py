"""Recipes of narrow models, for tests in which the widths are not the point."""

from pathlib import Path

import torch

SOCO = Path(__file__).parent / 'recipes/soco_small.py'
MASK_RCNN = Path(__file__).parent / 'recipes/mask-rcnn_small.py'
# soco_small.py with the FPN of MMDetection's detectors.
USUAL_FPN = {
    'model.neck.out_channels': 256,
    'model.roi_head.bbox_head.in_channels': 256,
}
# An RPN for soco_small.py with five levels.
RPN = dict(
    type='RPNHead',
    in_channels=32,
    feat_channels=32,
    anchor_generator=dict(
        type='AnchorGenerator',
        scales=[2],
        ratios=[0.5, 1.0, 2.0],
        strides=[4, 8, 16, 32, 64],
    ),
    bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
    loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True),
    loss_bbox=dict(type='L1Loss'),
    train_cfg=dict(
        assigner=dict(
            type='MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3
        ),
        sampler=dict(
            type='RandomSampler',
            num=99999,
            pos_fraction=1.0,
            add_gt_as_proposals=False,
        ),
        allowed_border=-1,
        pos_weight=-1,
    ),
)
# What makes a recipe of the package narrow, part by part.
MLP = {'model.projector.hid_channels': 8, 'model.head.predictor.hid_channels': 8}
BOX_HEAD = {
    'model.roi_head.bbox_head.conv_out_channels': 32,
    'model.roi_head.bbox_head.fc_out_channels': 64,
    'model.projector.in_channels': 64,
}
R50 = {
    'model.backbone.base_channels': 16,
    'model.neck.in_channels': [64, 128, 256, 512],
}
SWIN = {
    'model.backbone.embed_dims': 24,
    'model.backbone.num_heads': [1, 2, 4, 8],
    'model.neck.in_channels': [24, 48, 96, 192],
}
CONVNEXT = {
    'model.backbone.arch': dict(
        _delete_=True, depths=[3, 3, 9, 3], channels=[24, 48, 96, 192]
    ),
    'model.neck.in_channels': [24, 48, 96, 192],
}
RECIPES = {
    'soco_r50_fpn_100e': R50 | BOX_HEAD | MLP,
    'soco_swin-t_fpn_100e': SWIN | BOX_HEAD | MLP,
    'soco_convnext-t_fpn_100e': CONVNEXT | BOX_HEAD | MLP,
}


def training(store, images, options=None, hooks=()):
    """The config of a training of seconds, in this process and with its loader.

    Args:
        store (Path): The proposals.
        images (Path): Their images.
        options (dict, optional): Further values by dotted key. Defaults to None.
        hooks (list): Configs of further hooks. Defaults to ().
    """
    from soco_mm.engine.config import load_config

    cfg = load_config(
        SOCO,
        {
            'train_dataloader.dataset.data_root': str(images),
            'train_dataloader.dataset.proposals': str(store),
            'train_dataloader.batch_size': 2,
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
            **(options or {}),
        },
    )
    cfg.custom_hooks = [*cfg.custom_hooks, *hooks]
    for view in cfg.train_dataloader.dataset.pipeline[1]['views']:
        view['size'] = 64
    return cfg


def two_view_training(store, images):
    """Two epochs of :func:`training` on two views, each step of them logged.

    Args:
        store (Path): The proposals.
        images (Path): Their images.
    """
    options = {'train_cfg.max_epochs': 2, 'default_hooks.logger.interval': 1}
    cfg = training(store, images, options)
    cfg.train_dataloader.dataset.pipeline[1].views = [
        dict(size=64),
        dict(size=64, source=0, crop_scale=(0.5, 1.0)),
    ]
    cfg.param_scheduler = []
    return cfg


def tie_inputs(model):
    """Give all input channels of a convolution the same weights.

    The file of a model that cannot be narrow is then small: the channels are
    views of one.
    """
    state = model.state_dict()
    for name, value in state.items():
        if value.ndim == 4:
            state[name] = value[:, :1].clone().expand_as(value)
    model.load_state_dict(state)


def save(path, model, cfg=None):
    """Save a training checkpoint, small.

    The momentum network, which only a training reads, has names and shapes
    but holds one zero a tensor.

    Args:
        path (Path): The file.
        model (nn.Module): The model.
        cfg (Config, optional): Its config, for the checkpoint's meta data.
            Defaults to None, no meta data.
    """
    state = {}
    for name, value in model.state_dict().items():
        if name.startswith('target_net.') and value.ndim:
            value = value.new_zeros(1).expand(value.shape)
        elif value.ndim == 4 and (value == value[:, :1]).all():
            value = value[:, :1].clone().expand_as(value)
        state[name] = value
    checkpoint = dict(state_dict=state)
    if cfg is not None:
        checkpoint['meta'] = dict(cfg=cfg.pretty_text)
    torch.save(checkpoint, path)
