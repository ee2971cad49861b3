# SoCo*, which has a fourth view, in 100 epochs; not from the paper.
_base_ = [
    '../_base_/models/soco_r50_fpn.py',
    '../_base_/datasets/soco_four_views.py',
    '../_base_/schedules/lars_100e.py',
    '../_base_/default_runtime.py',
]
