# SoCo with a smaller backbone, ResNet-34; not from the paper.
_base_ = './soco_r50_fpn_100e.py'

model = dict(backbone=dict(depth=34), neck=dict(in_channels=[64, 128, 256, 512]))
