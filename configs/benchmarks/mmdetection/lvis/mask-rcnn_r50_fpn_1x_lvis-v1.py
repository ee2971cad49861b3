# As coco/mask-rcnn_r50_fpn_1x_coco.py, on LVIS v1.
_base_ = [
    'mmdet::lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py',
    '../../../_base_/detection.py',
]

custom_imports = dict(imports=['soco_mm.engine'])
parts = _base_.pop('parts')
norm_cfg = parts.norm_cfg
model = parts.mask_rcnn_fpn
optim_wrapper = parts.optim_wrapper
train_dataloader = dict(sampler=dict(type='InfiniteSampler'))
train_cfg = parts.train_cfg
param_scheduler = parts.param_scheduler
default_hooks = parts.default_hooks
log_processor = dict(by_epoch=False)
custom_hooks = parts.custom_hooks
del parts
