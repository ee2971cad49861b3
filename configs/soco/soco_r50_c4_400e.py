# SoCo for R50-C4 detectors, four times as long (Tables 2 and 3).
_base_ = [
    '../_base_/models/soco_r50_c4.py',
    '../_base_/datasets/soco_two_views.py',
    '../_base_/schedules/lars_400e.py',
    '../_base_/default_runtime.py',
]
