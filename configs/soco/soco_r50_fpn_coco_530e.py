# Pretraining on COCO (Table 9), as many images seen as in 100 epochs of ImageNet.
_base_ = './soco_r50_fpn_coco_100e.py'

train_cfg = dict(max_epochs=530)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=530, T_max=520)
