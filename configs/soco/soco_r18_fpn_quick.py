# A small recipe to see everything work in minutes on a CPU; not from the
# paper. Few images need a larger step than the linear rule gives LARS.
_base_ = './soco_r50_fpn_100e.py'

model = dict(
    backbone=dict(depth=18), neck=dict(in_channels=[64, 128, 256, 512]))

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(lr=2.0))
auto_scale_lr = dict(enable=False)
