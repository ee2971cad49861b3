# For a few hundred steps from pretrained weights; not from the paper. LARS
# hardly moves weights in so few. A warm-up of a tenth, then a cosine; it ends
# after exactly these steps, also within an epoch. A backbone that is trained too
# learns at a tenth of the rate of what is new, with weight decay on its norms and
# biases too: for parameters that custom_keys names MMEngine ignores the other rules.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    constructor='OnlineOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys=dict(backbone=dict(lr_mult=0.1)),
    ),
)
auto_scale_lr = dict(enable=False, base_batch_size=32)

param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-6,
        by_epoch=False,
        begin=20,
        end=200,
        T_max=180,
    ),
]
train_cfg = dict(type='StepTrainLoop', max_steps=200)
