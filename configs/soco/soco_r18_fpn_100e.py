# SoCo with a smaller backbone, ResNet-18; not from the paper.
_base_ = './soco_r50_fpn_100e.py'

model = dict(backbone=dict(depth=18), neck=dict(in_channels=[64, 128, 256, 512]))
