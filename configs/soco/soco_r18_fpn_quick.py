# A small recipe to see everything work in minutes on a CPU; not from the
# paper. Few images need a larger step than the linear rule gives LARS.
_base_ = './soco_r18_fpn_100e.py'

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(lr=2.0))
auto_scale_lr = dict(enable=False, base_batch_size=16)
