# Train Mask R-CNN on the photos in this folder, from the weights that
# tools/quickstart.sh has pretrained on them. For data of your own, inherit
# from your exported config in the same way.
_base_ = '../work_dirs/quickstart/exported/mask-rcnn_fpn_1x_coco.py'

# The names of the categories in the annotations, in their order.
metainfo = dict(
    classes=('person', 'cat', 'cup', 'spoon', 'saucer', 'rocket', 'helmet', 'coin')
)
# Few regions, small images and few iterations: this only shows that it runs.
model = dict(
    roi_head=dict(bbox_head=dict(num_classes=8), mask_head=dict(num_classes=8)),
    train_cfg=dict(rpn_proposal=dict(max_per_img=200), rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rpn=dict(max_per_img=100), rcnn=dict(score_thr=0.0)),
)

data = dict(
    data_root='{{ fileDirname }}/',
    ann_file='instances.json',
    data_prefix=dict(img='images/'),
    metainfo=metainfo,
)
resize = dict(type='Resize', scale=(400, 400), keep_ratio=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    resize,
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    resize,
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(batch_size=3, dataset=dict(pipeline=train_pipeline, **data))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline, **data))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data['data_root'] + 'instances.json')
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=12, val_interval=12)
optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=5),
]
default_hooks = dict(logger=dict(interval=2), checkpoint=dict(max_keep_ckpts=1))
