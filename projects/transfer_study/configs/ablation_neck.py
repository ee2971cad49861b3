# The short recipe without the R-CNN head: RoI features of the FPN are averaged.
_base_ = './short.py'

model = dict(roi_head=dict(bbox_head=None), projector=dict(in_channels=64))
