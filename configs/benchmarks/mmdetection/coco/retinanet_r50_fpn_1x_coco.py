# Section 4.5 of the paper: MMDetection's own optimisation. The FPN needs the
# norms that it was pretrained with; it starts at C3, which the export knows.
_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'

norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    backbone=dict(frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False, init_cfg=None),
    neck=dict(norm_cfg=norm_cfg),
)
