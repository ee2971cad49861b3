# Section 4.2 of the paper: as on COCO, but with steps at 3/4 and 11/12, and weight
# decay 1e-4; 24 thousand iterations are MoCo's, the paper has no number. The AP is
# that of 10 IoUs from 0.5 to 0.95, with the 11 points of VOC2007, as Detectron2
# computes it.
_base_ = [
    'mmdet::pascal_voc/faster-rcnn_r50-caffe-c4_ms-18k_voc0712.py',
    '../../../_base_/detection.py',
]

custom_imports = dict(imports=['soco_mm.engine', 'soco_mm.models'])
parts = _base_.pop('parts')
norm_cfg = parts.norm_cfg
model = parts.rcnn_c4
train_cfg = dict(max_iters=24000, val_interval=4000)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=24000, milestones=[18000, 22000])
default_hooks = dict(checkpoint=dict(interval=4000))
custom_hooks = parts.custom_hooks
val_evaluator = dict(iou_thrs=[0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95])
test_evaluator = val_evaluator
del parts
