# Row 6 of Table 4: V1 and V2 only.
_base_ = [
    '../../_base_/models/soco_r50_fpn.py',
    '../../_base_/datasets/soco_two_views.py',
    '../../_base_/schedules/lars_100e.py',
    '../../_base_/default_runtime.py',
]
