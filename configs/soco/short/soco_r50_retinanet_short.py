# Align the neck and the towers of RetinaNet to a backbone that is kept; not from
# the paper. Levels P3 to P7 are those that the detector finds an object on,
# at 224 of 800 pixels. Export it with --detector and RetinaNet's config.
_base_ = './soco_r50_fpn_short.py'

model = dict(
    neck=dict(start_level=1, add_extra_convs='on_input', num_outs=5, norm_cfg=None),
    roi_head=dict(
        bbox_roi_extractor=dict(
            featmap_strides=[8, 16, 32, 64, 128], scale_bounds=[16, 32, 64, 128, 224]
        ),
        bbox_head=None,
    ),
    bbox_head=dict(
        type='ObjectDenseHead',
        head=dict(
            type='RetinaHead',
            num_classes=80,
            in_channels=256,
            stacked_convs=4,
            feat_channels=256,
        ),
    ),
    projector=dict(in_channels=512),
)
