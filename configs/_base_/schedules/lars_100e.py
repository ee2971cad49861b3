# The paper's optimisation (Section 4.1): lr 1.0 for 256 images, scaled
# linearly, a linear warm-up of 10 epochs, then a cosine to 1e-6.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(type='LARS', lr=8.0, momentum=0.9, weight_decay=1e-5, eta=0.001),
)
auto_scale_lr = dict(enable=True, base_batch_size=2048)

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-6,
        by_epoch=True,
        begin=10,
        end=100,
        T_max=90,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100)
