_base_ = './mask-rcnn_r50_fpn_90k_coco-5pct.py'

train_dataloader = dict(
    dataset=dict(ann_file='annotations/instances_train2017_10pct.json')
)
