# SoCo*, which has a fourth view: the best for detectors with an FPN (Table 1).
_base_ = [
    '../_base_/models/soco_r50_fpn.py',
    '../_base_/datasets/soco_four_views.py',
    '../_base_/schedules/lars_400e.py',
    '../_base_/default_runtime.py',
]
