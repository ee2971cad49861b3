# SoCo with a larger backbone, ResNet-101; not from the paper.
_base_ = './soco_r50_fpn_100e.py'

model = dict(backbone=dict(depth=101))
