# SoCo with ConvNeXt-T, trained by AdamW; not from the paper.
_base_ = [
    '../_base_/models/soco_r50_fpn.py',
    '../_base_/datasets/soco_views.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmcls.ConvNeXt',
        arch='tiny',
        out_indices=(0, 1, 2, 3),
        # The target network should be exact.
        drop_path_rate=0.0,
        layer_scale_init_value=1.0,
        gap_before_final_norm=False,
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
