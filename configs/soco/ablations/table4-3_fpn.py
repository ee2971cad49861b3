# Row 3 of Table 4: without the R-CNN head; RoI features are averaged.
_base_ = './table4-4_head.py'

model = dict(roi_head=dict(bbox_head=None), projector=dict(in_channels=256))
