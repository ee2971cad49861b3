# Pretraining on images of many objects (Table 9): COCO train2017 and
# unlabeled2017, the images of the proposals.
_base_ = './soco_r50_fpn_100e.py'

train_dataloader = dict(
    dataset=dict(
        data_root='data/coco', proposals='data/coco/proposals_train2017_unlabeled2017'
    )
)
