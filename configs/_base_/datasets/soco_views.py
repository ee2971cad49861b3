# V1, V2 and V3 of the paper (Section 3.2), augmented as in BYOL (4.1).
data_root = 'data/imagenet/train'
proposals = 'data/imagenet/proposals'

train_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='ConstructViews',
        views=[
            dict(size=224),
            dict(size=224, source=0, crop_scale=(0.5, 1.0), crop_ratio=(3 / 4, 4 / 3)),
            dict(size=112, source=1),
        ],
    ),
    dict(type='SelectProposals', num_proposals=4),
    dict(type='BoxJitter', prob=0.5, max_ratio=0.1),
    dict(type='ViewRandomFlip', prob=0.5),
    dict(
        type='ViewColorJitter',
        brightness=0.4,
        contrast=0.4,
        saturation=0.2,
        hue=0.1,
        prob=0.8,
    ),
    dict(type='ViewRandomGrayscale', prob=0.2),
    dict(type='ViewGaussianBlur', sigma=(0.1, 2.0), prob=(1.0, 0.1)),
    dict(type='ViewSolarize', threshold=128, prob=(0.0, 0.2)),
    dict(type='PackViews'),
]

# 2048 images on 16 GPUs.
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type='EpochSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ObjectViewDataset',
        data_root=data_root,
        proposals=proposals,
        pipeline=train_pipeline,
    ),
)
