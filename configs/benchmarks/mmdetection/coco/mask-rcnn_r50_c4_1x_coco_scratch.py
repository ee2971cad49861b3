# From random weights.
_base_ = './mask-rcnn_r50_c4_1x_coco.py'
