"""Detectors that MMDetection ships, made small: what a test trains in seconds."""

from pathlib import Path

from mmengine.hub import get_config

# Of the stages.
WIDTHS = [16, 32, 64, 128]
SWIN = dict(embed_dims=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 4], init_cfg=None)
HRNET = dict(
    init_cfg=None,
    extra=dict(
        stage2=dict(num_channels=(8, 16)),
        stage3=dict(num_modules=1, num_channels=(8, 16, 32)),
        stage4=dict(num_modules=1, num_channels=(8, 16, 32, 64)),
    ),
)
FC = dict(fc_out_channels=64)
# Config -> family, and changes of its model that make it small. A ResNet gets 18
# layers of a quarter of the width besides.
DETECTORS = {
    'retinanet/retinanet_r18_fpn_1x_coco.py': ('RetinaNet', {}),
    'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py': ('FCOS', {}),
    'atss/atss_r50_fpn_1x_coco.py': ('ATSS', {}),
    'dyhead/atss_r50_fpn_dyhead_1x_coco.py': ('DyHead', {}),
    'gfl/gfl_r50_fpn_1x_coco.py': ('GFL', {}),
    'tood/tood_r50_fpn_1x_coco.py': ('TOOD', {}),
    'vfnet/vfnet_r50_fpn_1x_coco.py': ('VFNet', {}),
    'paa/paa_r50_fpn_1x_coco.py': ('PAA', {}),
    'ddod/ddod_r50_fpn_1x_coco.py': ('DDOD', {}),
    'foveabox/fovea_r50_fpn_4xb4-1x_coco.py': ('FoveaBox', {}),
    'reppoints/reppoints-moment_r50_fpn_1x_coco.py': ('RepPoints', {}),
    'free_anchor/freeanchor_r50_fpn_1x_coco.py': ('FreeAnchor', {}),
    'fsaf/fsaf_r50_fpn_1x_coco.py': ('FSAF', {}),
    'nas_fpn/retinanet_r50_nasfpn_crop640-50e_coco.py': ('NAS-FPN', {}),
    'yolof/yolof_r50-c5_8xb8-1x_coco.py': ('YOLOF', {}),
    'yolact/yolact_r50_1xb8-55e_coco.py': ('YOLACT', {}),
    'condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py': ('CondInst', {}),
    'solo/solo_r50_fpn_1x_coco.py': ('SOLO', {}),
    'rtmdet/rtmdet_tiny_8xb32-300e_coco.py': (
        'RTMDet',
        dict(backbone=dict(init_cfg=None)),
    ),
    'rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py': (
        'RTMDet',
        dict(backbone=dict(init_cfg=None)),
    ),
    'yolox/yolox_tiny_8xb8-300e_coco.py': ('YOLOX', {}),
    'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py': (
        'Faster R-CNN',
        dict(roi_head=dict(bbox_head=FC)),
    ),
    'faster_rcnn/faster-rcnn_r50-caffe-dc5_1x_coco.py': (
        'Faster R-CNN',
        dict(
            rpn_head=dict(in_channels=128),
            roi_head=dict(bbox_head=dict(in_channels=128, **FC)),
        ),
    ),
    'mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py': (
        'Mask R-CNN',
        dict(
            rpn_head=dict(in_channels=256),
            roi_head=dict(
                shared_head=dict(depth=18),
                bbox_head=dict(in_channels=512),
                mask_head=dict(in_channels=512),
            ),
        ),
    ),
    'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py': (
        'Mask R-CNN',
        dict(roi_head=dict(bbox_head=FC)),
    ),
    'cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py': ('Cascade R-CNN', {}),
    'libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco.py': (
        'Libra R-CNN',
        dict(roi_head=dict(bbox_head=FC)),
    ),
    'pafpn/faster-rcnn_r50_pafpn_1x_coco.py': (
        'PAFPN',
        dict(roi_head=dict(bbox_head=FC)),
    ),
    'double_heads/dh-faster-rcnn_r50_fpn_1x_coco.py': ('Double-Head', {}),
    'deformable_detr/deformable-detr_r50_16xb2-50e_coco.py': ('DETR', {}),
    'swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py': (
        'Swin',
        dict(
            backbone=SWIN,
            neck=dict(in_channels=WIDTHS),
            roi_head=dict(bbox_head=FC),
        ),
    ),
    'pvt/retinanet_pvtv2-b0_fpn_1x_coco.py': (
        'PVT',
        dict(backbone=dict(init_cfg=None)),
    ),
    'hrnet/faster-rcnn_hrnetv2p-w18-1x_coco.py': (
        'HRNet',
        dict(
            backbone=HRNET,
            neck=dict(in_channels=[8, 16, 32, 64]),
            roi_head=dict(bbox_head=FC),
        ),
    ),
    'regnet/faster-rcnn_regnetx-400MF_fpn_ms-3x_coco.py': (
        'RegNet',
        dict(backbone=dict(init_cfg=None), roi_head=dict(bbox_head=FC)),
    ),
}


def write_small(folder, name):
    """Write the config of a small detector.

    Args:
        folder (Path): Where to write it.
        name (str): One of ``DETECTORS``.

    Returns:
        Path: The config.
    """
    cfg = get_config(f'mmdet::{name}')
    model = cfg.model
    cfg.merge_from_dict(dict(model=DETECTORS[name][1]))
    if model.backbone.type == 'ResNet':
        wide = 4 if 'shared_head' in model.get('roi_head', ()) else 1  # res5 is as wide
        model.backbone.update(depth=18, base_channels=16 * wide, init_cfg=None)
        if neck := model.get('neck'):
            first = neck[0] if isinstance(neck, list) else neck
            used = [WIDTHS[index] for index in model.backbone.out_indices]
            several = isinstance(first.in_channels, (list, tuple))
            first.in_channels = used if several else used[-1]
    if 'cascade' in name:
        for head in model.roi_head.bbox_head:
            head.fc_out_channels = 64
    path = Path(folder, f'small_{Path(name).name}')
    cfg.dump(path)
    return path
