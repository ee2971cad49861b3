# SoCo with Swin-T, trained by AdamW; not from the paper.
_base_ = [
    '../_base_/models/soco_r50_fpn.py',
    '../_base_/datasets/soco_views.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmdet.SwinTransformer',
        embed_dims=96,
        depths=[2, 2, 6, 2],
        num_heads=[3, 6, 12, 24],
        window_size=7,
        mlp_ratio=4,
        qkv_bias=True,
        # The target network should be exact.
        drop_path_rate=0.0,
        patch_norm=True,
        out_indices=(0, 1, 2, 3),
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
