# Pretraining on images of many objects, COCO train2017 and unlabeled2017
# (Table 9).
_base_ = './soco_r50_fpn_100e.py'

train_dataloader = dict(
    dataset=dict(
        data_root='data/coco', proposals='data/coco/proposals_train2017_unlabeled2017'
    )
)
