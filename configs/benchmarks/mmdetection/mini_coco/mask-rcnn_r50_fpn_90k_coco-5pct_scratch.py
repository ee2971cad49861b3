# From random weights.
_base_ = './mask-rcnn_r50_fpn_90k_coco-5pct.py'
