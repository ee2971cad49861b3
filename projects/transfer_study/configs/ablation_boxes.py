# Without FPN too: objects are pooled from the last map of the backbone.
_base_ = './ablation_neck.py'

model = dict(
    backbone=dict(out_indices=(6,)),
    neck=None,
    roi_head=dict(bbox_roi_extractor=dict(featmap_strides=[32], scale_bounds=[128])),
    projector=dict(in_channels=320),
)
