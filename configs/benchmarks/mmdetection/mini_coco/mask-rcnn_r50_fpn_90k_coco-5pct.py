# Mini COCO (Section 4.5 of the paper): 5 % of the training images, all else as
# on COCO. The 1x schedule is 90 thousand iterations there, as in Detectron2:
# 12 epochs of so few images would be a twentieth of them.
_base_ = '../coco/mask-rcnn_r50_fpn_1x_coco.py'

train_dataloader = dict(
    sampler=dict(type='InfiniteSampler'),
    dataset=dict(ann_file='annotations/instances_train2017_5pct.json'))
train_cfg = dict(
    _delete_=True,
    type='IterBasedTrainLoop',
    max_iters=90000,
    val_interval=10000)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(
    end=90000, by_epoch=False, milestones=[60000, 80000])
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=10000))
log_processor = dict(by_epoch=False)
