# From random weights.
_base_ = './mask-rcnn_r50_fpn_2x_lvis-v1.py'
