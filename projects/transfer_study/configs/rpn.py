# Align only, and an RPN that learns the proposals beside it and is handed over too.
_base_ = './align.py'

train_pipeline = _base_.train_pipeline
train_pipeline[2]['max_proposals'] = 100
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

model = dict(
    neck=dict(num_outs=5),  # P6 is pooled from P5
    rpn_head=dict(
        type='RPNHead',
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(
            type='AnchorGenerator',
            scales=[8],
            ratios=[0.5, 1.0, 2.0],
            strides=[4, 8, 16, 32, 64],
        ),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0),
        train_cfg=dict(
            assigner=dict(
                type='MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3
            ),
            sampler=dict(
                type='RandomSampler',
                num=256,
                pos_fraction=0.5,
                add_gt_as_proposals=False,
            ),
            allowed_border=-1,
            pos_weight=-1,
        ),
    ),
)
handed_over = ['backbone', 'neck', 'rpn']
