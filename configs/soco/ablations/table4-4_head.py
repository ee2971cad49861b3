# Row 4 of Table 4: without scale-aware assignment. The paper does not say
# which level the objects go to then; here it is P5, since the rows without FPN
# use C5.
_base_ = './table4-5_scale-aware-assignment.py'

# No object is within the bounds of P2 to P4.
model = dict(roi_head=dict(bbox_roi_extractor=dict(scale_bounds=[0, 0, 0, 224])))
