_base_ = './mask-rcnn_r50_fpn_1x_lvis-v1.py'

train_cfg = dict(max_iters=180000)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=180000, milestones=[120000, 160000])
