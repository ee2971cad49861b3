# Anchors from 16 pixels on: with those of MMDetection, from 32 on, hardly a platelet
# of 15 pixels is found.
_base_ = './faster-rcnn_mobilenetv2_fpn.py'

model = dict(rpn_head=dict(anchor_generator=dict(scales=[4])))
