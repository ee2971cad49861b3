# ImageNet-Subset (Table 9): as many images as COCO train2017 and
# unlabeled2017 have.
_base_ = './soco_r50_fpn_100e.py'

train_dataloader = dict(dataset=dict(num_images=241690))
