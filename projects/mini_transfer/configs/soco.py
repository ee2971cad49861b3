# SoCo in small, for a transfer study on one machine: ResNet-18, an FPN and an
# R-CNN head of a quarter of the width, views of 128 and 64 pixels.
_base_ = '../../../configs/soco/soco_r18_fpn_100e.py'

model = dict(
    neck=dict(out_channels=64),
    roi_head=dict(
        bbox_roi_extractor=dict(scale_bounds=[27, 55, 110, 128]),
        bbox_head=dict(in_channels=64, conv_out_channels=64, fc_out_channels=256),
    ),
    projector=dict(in_channels=256, hid_channels=1024),
    head=dict(predictor=dict(hid_channels=1024)),
)

train_pipeline = _base_.train_pipeline
train_pipeline[1]['views'] = [
    dict(size=128),
    dict(size=128, source=0, crop_scale=(0.5, 1.0), crop_ratio=(3 / 4, 4 / 3)),
    dict(size=64, source=1),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(pipeline=train_pipeline),
)

# A few hundred images need a larger step than the linear rule gives LARS.
optim_wrapper = dict(optimizer=dict(lr=0.5))
auto_scale_lr = dict(enable=False)
train_cfg = dict(max_epochs=12)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=1)
param_scheduler[1].update(begin=1, end=12, T_max=11)
