_base_ = './soco_r50_fpn_100e.py'

model = dict(backbone=dict(depth=101))
