# Row 2 of Table 4: without FPN; objects are pooled from C5.
_base_ = './table4-3_fpn.py'

model = dict(
    backbone=dict(out_indices=(3,)),
    neck=None,
    roi_head=dict(bbox_roi_extractor=dict(featmap_strides=[32], scale_bounds=[224])),
    projector=dict(in_channels=2048),
)
