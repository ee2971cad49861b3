# Row 7 of Table 4 is SoCo itself.
_base_ = '../soco_r50_fpn_100e.py'
