# Mini COCO (Section 4.5 of the paper): 5 % of the training images, all else as
# on COCO, including the 90 thousand iterations: 12 epochs of so few images would
# be only a twentieth of them.
_base_ = '../coco/mask-rcnn_r50_fpn_1x_coco.py'

train_dataloader = dict(
    dataset=dict(ann_file='annotations/instances_train2017_5pct.json')
)
