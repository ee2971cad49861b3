_base_ = './mask-rcnn_r50_fpn_1x_coco.py'

train_cfg = dict(max_iters=360000)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=360000, milestones=[240000, 320000])
