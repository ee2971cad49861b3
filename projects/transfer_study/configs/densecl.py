# DenseCL in small: mocov2.py with the contrast between places, after a tenth of
# the steps.
_base_ = './mocov2.py'

model = dict(
    type='mmselfsup.DenseCL',
    loss_lambda=0.5,
    neck=dict(
        _delete_=True,
        type='mmselfsup.DenseCLNeck',
        in_channels=320,
        hid_channels=512,
        out_channels=128,
        num_grid=None,
    ),
)
custom_hooks = [dict(type='mmselfsup.DenseCLHook', start_iters=20)]
