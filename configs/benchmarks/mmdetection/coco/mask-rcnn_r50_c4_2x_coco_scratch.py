# From random weights.
_base_ = './mask-rcnn_r50_c4_2x_coco.py'
