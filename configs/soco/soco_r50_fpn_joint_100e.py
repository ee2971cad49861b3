# Objects and the whole image in one loss, the future work of the paper's
# Appendix B. The whole view is one more object.
_base_ = './soco_r50_fpn_100e.py'

train_pipeline = _base_.train_pipeline
train_pipeline[2]['whole_view'] = True
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
