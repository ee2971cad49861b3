# DenseCL, MMSelfSup's own: MoCo v2 and the same contrast between places of the
# feature map that match.
_base_ = './mocov2_r50_100e.py'

model = dict(
    type='mmselfsup.DenseCL',
    loss_lambda=0.5,
    neck=dict(
        _delete_=True,
        type='mmselfsup.DenseCLNeck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128,
        num_grid=None,
    ),
)
custom_hooks = [dict(type='mmselfsup.DenseCLHook', start_iters=1000)]
