# Without scale-aware assignment: all objects are on P5.
_base_ = './soco.py'

model = dict(roi_head=dict(bbox_roi_extractor=dict(scale_bounds=[0, 0, 0, 128])))
