# Align res5, the head of R50-C4 detectors, to the stages before it, which are
# kept; not from the paper. Start from weights that fill the backbone.
_base_ = [
    '../../_base_/models/soco_r50_c4.py',
    '../../_base_/datasets/soco_two_views.py',
    '../../_base_/schedules/adamw_short.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    frozen_parts=('backbone',),
    head=dict(loss=dict(_delete_=True, type='ObjectInfoNCELoss', temperature=0.2)),
)
train_dataloader = dict(batch_size=32)
