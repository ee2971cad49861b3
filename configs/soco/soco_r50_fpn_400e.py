_base_ = './soco_r50_fpn_100e.py'

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-6,
        by_epoch=True,
        begin=10,
        end=400,
        T_max=390,
        convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=400)
