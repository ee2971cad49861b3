# For backbones that are not trained with LARS; not from the paper. lr 2e-3 for
# 2048 images, scaled by the square root; warm-up and cosine as with LARS.
_base_ = './lars_100e.py'

optim_wrapper = dict(
    constructor='OnlineOptimWrapperConstructor',
    optimizer=dict(
        _delete_=True, type='AdamW', lr=2e-3, betas=(0.9, 0.999), weight_decay=0.05
    ),
    clip_grad=dict(max_norm=5.0),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        flat_decay_mult=0.0,
        custom_keys=dict(relative_position_bias_table=dict(decay_mult=0.0)),
    ),
)
