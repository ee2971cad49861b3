# The quick recipe with all its parts and few channels: 0.3 million weights
# and not 36, so that trainings take seconds and checkpoints 3 MB.
_base_ = '../../configs/soco/soco_r18_fpn_quick.py'

# With 8 channels PyTorch 2.13 crashes: the backward of a channels_last Conv2d(8, 16,
# 1, stride=2) writes beyond its memory on processors with AVX-512.
model = dict(
    backbone=dict(base_channels=16),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=32),
    roi_head=dict(
        bbox_head=dict(in_channels=32, conv_out_channels=32, fc_out_channels=64)
    ),
    projector=dict(in_channels=64, hid_channels=64),
    head=dict(predictor=dict(hid_channels=64)),
)
