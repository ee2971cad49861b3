# Section 4.2 of the paper: batch norm synchronised in all layers, new ones
# too, nothing frozen, the 4conv1fc box head, weight decay 2.5e-5, and the
# schedule of the authors' files; the parts say more.
_base_ = [
    'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
    '../../../_base_/detection.py',
]

custom_imports = dict(imports=['soco_mm.engine'])
parts = _base_.pop('parts')
norm_cfg = parts.norm_cfg
model = parts.mask_rcnn_fpn
optim_wrapper = parts.optim_wrapper
train_pipeline = _base_.train_pipeline
train_pipeline[2] = parts.resize
train_dataloader = dict(
    sampler=dict(type='InfiniteSampler'), dataset=dict(pipeline=train_pipeline)
)
train_cfg = parts.train_cfg
param_scheduler = parts.param_scheduler
default_hooks = parts.default_hooks
log_processor = dict(by_epoch=False)
custom_hooks = parts.custom_hooks
del parts
