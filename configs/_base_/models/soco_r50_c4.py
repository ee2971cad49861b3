# SoCo-R50-C4 (Section 3.3): the head is the whole res5, as in MMDetection's
# R50-C4 detectors, whose shared head has the same parameter names.
_base_ = './soco_r50_fpn.py'

norm_cfg = _base_.norm_cfg
model = dict(
    backbone=dict(
        num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,)
    ),
    neck=None,
    roi_head=dict(
        _delete_=True,
        type='ObjectRoIHead',
        bbox_roi_extractor=dict(
            type='ScaleAwareRoIExtractor',
            featmap_strides=[16],
            scale_bounds=[224],
            output_size=14,
        ),
        shared_head=dict(
            type='mmdet.ResLayer',
            depth=50,
            stage=3,
            stride=2,
            style='pytorch',
            norm_cfg=norm_cfg,
            norm_eval=False,
        ),
    ),
    projector=dict(in_channels=2048),
)
