# Without the R-CNN head: RoI features are averaged.
_base_ = './soco.py'

model = dict(roi_head=dict(bbox_head=None), projector=dict(in_channels=64))
