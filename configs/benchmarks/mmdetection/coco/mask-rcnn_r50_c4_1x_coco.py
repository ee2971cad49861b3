# As mask-rcnn_r50_fpn_1x_coco.py, on C4.
_base_ = [
    'mmdet::mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py',
    '../../../_base_/detection.py',
]

custom_imports = dict(imports=['soco_mm.engine', 'soco_mm.models'])
parts = _base_.pop('parts')
norm_cfg = parts.norm_cfg
model = parts.rcnn_c4
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
