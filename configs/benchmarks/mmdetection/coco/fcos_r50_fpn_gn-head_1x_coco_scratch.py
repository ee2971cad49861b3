# From random weights.
_base_ = './fcos_r50_fpn_gn-head_1x_coco.py'
