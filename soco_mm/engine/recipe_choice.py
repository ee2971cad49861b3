"""The recipe of a pretraining that names none."""

from pathlib import Path

from soco_mm.checkpoint.recognise import recognise_backbone
from soco_mm.checkpoint.weights_file import read_weights
from soco_mm.log import logger
from soco_mm.utils import UsageError

CONFIG = 'soco_r50_fpn_100e'
# With weights to start from and fewer images than this.
FEW_IMAGES = 100_000
# What projects/transfer_study found; its tables are in docs/evidence.md.
EXPECTED = (
    'After it, objects are found again in another view more often, but no gain could '
    'be seen in the detectors that were measured: a small Faster R-CNN on MobileNetV2 '
    'with 10 % of the labels changes by +0.8 AP on blood cells (95 % -0.9 to +2.7), '
    '+0.4 AP on raccoons (95 % -1.4 to +2.5) and -0.1 AP on vehicles seen from a drone '
    '(95 % -1.5 to +1.2), 8 seeds each (docs/evidence.md). Compare on your labels '
    '(docs/finetuning.md).'
)
# The short recipe of a backbone, and detectors with other backbones.
SHORT = {
    'ResNet-50': 'short/soco_r50_fpn_short',
    'MobileNetV2': 'short/soco_mobilenetv2_fpn_short',
}
SHORT_C4 = 'short/soco_r50_c4_short'
DETECTORS = {
    'ResNet-18': 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py',
    'ResNet-101': 'mmdet::faster_rcnn/faster-rcnn_r101_fpn_1x_coco.py',
    'ResNeXt-101': 'mmdet::faster_rcnn/faster-rcnn_x101-32x4d_fpn_1x_coco.py',
    'Swin-T': 'mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py',
    'Swin-S': 'mmdet::swin/mask-rcnn_swin-s-p4-w7_fpn_amp-ms-crop-3x_coco.py',
    'HRNet': 'mmdet::hrnet/faster-rcnn_hrnetv2p-w32-1x_coco.py',
}


def choose_recipe(
    init: str | Path | None, images: int, any_backbone: bool = False
) -> str:
    """The recipe if the arguments name none.

    Args:
        init (str | Path, optional): Weights to start from.
        images (int): Number of images.
        any_backbone (bool): Only data, schedule and loss of the recipe are used,
            for a detector's own model. Defaults to False.

    Returns:
        str: Its name: with weights and fewer than ``FEW_IMAGES`` the short one
        of their backbone.

    Raises:
        UsageError: If there is none, or the backbone is not recognised.
        SoCoError: If the weights cannot be read.
    """
    if init is None or images >= FEW_IMAGES:
        return CONFIG
    weights = read_weights(init).weights
    backbone = recognise_backbone(weights)
    if backbone not in SHORT and any_backbone:
        backbone = 'ResNet-50'
    if backbone not in SHORT:
        raise UsageError(explain_no_recipe(init, backbone))
    is_c4 = any(name.startswith('roi_head.shared_head.') for name in weights)
    name = SHORT_C4 if is_c4 and backbone == 'ResNet-50' else SHORT[backbone]
    of = '' if any_backbone else f' of {backbone}'
    logger.info(
        f'Config: {name}, a short recipe{of}, since the training starts '
        f'from weights and has fewer than {FEW_IMAGES:,} images. {EXPECTED} Another '
        'recipe: --config.'
    )
    return name


def explain_no_recipe(init: str | Path, backbone: str | None) -> str:
    """One sentence or two: what weights are, and what to give with them."""
    if backbone is None:
        what = f'{init} holds weights of a backbone that is not recognised'
    else:
        what = f'{init} holds weights of {backbone}'
    return (
        f'{what}; short recipes are chosen for {" and ".join(SHORT)}. Name the '
        'detector that has this backbone (--detector '
        f'{DETECTORS.get(backbone, "CONFIG of MMDetection")}), which also makes a '
        'short recipe, or a recipe (--config).'
    )
