# Table 5(d): the target network's momentum starts at 0.98.
_base_ = '../soco_r50_fpn_100e.py'

model = dict(base_momentum=0.98)
