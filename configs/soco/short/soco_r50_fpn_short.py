# Align neck and head to a backbone that is kept, in 200 steps; not from the
# paper. Start from weights that fill the backbone, such as ImageNet's. The
# detector gets backbone and neck; a pretrained head did not help it.
_base_ = [
    '../../_base_/models/soco_r50_fpn.py',
    '../../_base_/datasets/soco_views.py',
    '../../_base_/schedules/adamw_short.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    frozen_parts=('backbone',),
    head=dict(loss=dict(_delete_=True, type='ObjectInfoNCELoss', temperature=0.2)),
)
train_dataloader = dict(batch_size=32)
handed_over = ['backbone', 'neck']
