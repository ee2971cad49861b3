"""The data pipeline in the config of a detector."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from soco_mm.utils import SoCoError
from soco_mm.utils.class_names import class_name

RESIZING = ('Resize', 'RandomResize', 'RandomChoiceResize', 'FixScaleResize')
# Transforms that make one image of several.
MIXING = ('Mosaic', 'MixUp', 'CopyPaste')


def find_pipeline(dataset: Config) -> list:
    """The pipeline of a data set, which may be wrapped in others."""
    while 'pipeline' not in dataset:
        inner = dataset['dataset' if 'dataset' in dataset else 'datasets']
        dataset = inner[0] if isinstance(inner, (list, tuple)) else inner
    return dataset['pipeline']


def check_pipeline(pipeline: list, detector: str | Path) -> None:
    """Refuse a pipeline that needs more than an image, boxes and masks.

    Raises:
        SoCoError: If it does.
    """
    found = list(transforms(pipeline))
    if any(each.get('with_seg') for each in found):
        raise SoCoError(
            f'The detector of {detector} is trained with semantic '
            'maps, which COCO annotations do not have. Choose '
            'another.'
        )
    if any(class_name(each) == 'LoadProposals' for each in found):
        raise SoCoError(
            f'The detector of {detector} is trained with '
            'proposals of another one (LoadProposals), which COCO '
            'annotations do not have. Choose another.'
        )
    names = [class_name(each) for each in found]
    mixing = [each for each in names if any(kind in each for kind in MIXING)]
    if not mixing and 'LoadAnnotations' not in names:
        loading = next((each for each in names if 'LoadP' in each), names[0])
        raise SoCoError(
            f'The pipeline of {detector} begins with {loading} and has no '
            'LoadAnnotations, which reads boxes and masks. Choose another detector, or '
            "train it with MMDetection's own tools/train.py."
        )
    if mixing:
        raise SoCoError(
            f'The detector of {detector} is trained on mixed '
            f'images ({mixing[0]}). Choose another, or train it '
            "with MMDetection's own tools/train.py."
        )


def transforms(pipeline: list) -> Iterator[Config]:
    """All transforms of a pipeline, also those inside of others."""
    for each in pipeline:
        # Of RandomChoice, and of AutoAugment.
        for branch in (*each.get('transforms', ()), *each.get('policies', ())):
            yield from transforms(branch if isinstance(branch, list) else [branch])
        yield each


def pipeline_pixels(cfg: Config) -> dict[str, Any] | None:
    """What the pipeline of a detector normalises images with.

    Args:
        cfg (Config): Its config.

    Returns:
        dict, optional: ``mean``, ``std`` and ``bgr_to_rgb``, as a
        ``DetDataPreprocessor`` has them; empty if the pipeline does not normalise;
        None if it is not known.
    """
    try:
        found = list(transforms(find_pipeline(cfg.test_dataloader.dataset)))
    except Exception:  # it may have another pipeline
        return None
    for each in found:
        if class_name(each) == 'Normalize':
            return dict(
                mean=list(each.mean),
                std=list(each.std),
                bgr_to_rgb=each.get('to_rgb', True),
            )
    return {}


def trains_masks(detector: str | Path) -> bool:
    """Whether a detector is trained with masks, as far as its config says."""
    try:
        cfg = Config.fromfile(detector)
        return uses_masks(find_pipeline(cfg.train_dataloader.dataset))
    except Exception:  # a config is a program: what is wrong is said later
        return True


def can_finetune(detector: str | Path) -> bool:
    """Whether ``soco-mm finetune`` takes a detector, as far as its pipeline says.

    Args:
        detector (str | Path): Its config.
    """
    try:
        pipeline = find_pipeline(Config.fromfile(detector).train_dataloader.dataset)
        check_pipeline(pipeline, detector)
    except Exception:  # a config is a program; it may have another pipeline
        return False
    return True


def uses_masks(pipeline: list) -> bool:
    """Whether a pipeline loads masks."""
    return any(each.get('with_mask') for each in transforms(pipeline))


def set_pipeline(pipeline: list, masks: bool, scale: tuple | None) -> None:
    """Set whether masks are loaded, and the size of the images."""
    for each in transforms(pipeline):
        name = class_name(each)
        if name == 'LoadAnnotations':
            each.with_mask = masks
        elif not scale:
            continue
        elif name == 'Pad' and each.get('size'):
            each.size = (rounded_up(max(scale)),) * 2
        elif name == 'RandomCrop' and 'relative' not in each.get('crop_type', ''):
            each.crop_size = tuple(min(max(scale), side) for side in each.crop_size)
        elif name in RESIZING:
            kind = dict(type='Resize')
            if 'ratio_range' in each:  # large scale jitter, around the size
                kind = dict(type=each.type, ratio_range=each.ratio_range)
            each.clear()
            each.update(scale=tuple(scale), keep_ratio=True, **kind)


def set_batch_size(preprocessor: Config, scale: tuple) -> None:
    """Fit what a preprocessor pads or resizes batches to, to the size of the images.

    Args:
        preprocessor (Config): The detector's; changed in place.
        scale (tuple): Largest long and short side of the images, in pixels.
    """
    divisor = preprocessor.get('pad_size_divisor', 1)
    for each in preprocessor.get('batch_augments') or ():
        name = class_name(each)
        if name == 'BatchFixedSizePad':
            each.size = (rounded_up(max(scale), divisor),) * 2
        elif name == 'BatchResize':
            each.scale = tuple(scale)


def rounded_up(side: int, divisor: int = 32) -> int:
    """The next multiple of a number of pixels."""
    return -(-side // divisor) * divisor
