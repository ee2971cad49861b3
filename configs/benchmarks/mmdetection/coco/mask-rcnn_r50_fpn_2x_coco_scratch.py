# From random weights.
_base_ = './mask-rcnn_r50_fpn_2x_coco.py'
