_base_ = './mask-rcnn_r50_c4_1x_coco.py'

train_cfg = dict(max_iters=180000)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=180000, milestones=[120000, 160000])
