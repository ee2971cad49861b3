# Section 4.5 of the paper: MMDetection's own optimisation. The FPN needs the
# norms that it was pretrained with; it starts at C3, which the export knows.
_base_ = [
    'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
    '../../../_base_/detection.py',
]

parts = _base_.pop('parts')
norm_cfg = parts.norm_cfg
model = parts.resnet_fpn
del parts
