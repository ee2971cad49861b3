"""The data pipeline in the config of a detector."""

from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

from soco_mm.utils import SoCoError
from soco_mm.utils.class_names import class_name


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
    mixing = [name for name in names if 'Mosaic' in name or 'MixUp' in name]
    # If images are mixed, loading is in a data set inside of another.
    if 'LoadAnnotations' not in names:
        mixing = mixing or [class_name(pipeline[0])]
    if mixing:
        raise SoCoError(
            f'The detector of {detector} is trained on mixed '
            f'images ({mixing[0]}). Choose another, or train it '
            "with MMDetection's own tools/train.py."
        )


def transforms(pipeline: list) -> Iterator[Config]:
    """All transforms of a pipeline, also those inside of others."""
    for each in pipeline:
        for branch in each.get('transforms', ()):  # of RandomChoice
            yield from transforms(branch if isinstance(branch, list) else [branch])
        yield each


def normalizes(detector: str | Path) -> bool:
    """Whether the pipeline of a detector normalises images; so if there is none."""
    try:
        dataset = Config.fromfile(detector).test_dataloader.dataset
        names = [class_name(each) for each in transforms(find_pipeline(dataset))]
    except Exception:  # a config is a program; it may have another pipeline
        return True
    return 'Normalize' in names


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
        if class_name(each) == 'LoadAnnotations':
            each.with_mask = masks
        elif scale and class_name(each) in (
            'Resize',
            'RandomResize',
            'RandomChoiceResize',
        ):
            kind = dict(type='Resize')
            if 'ratio_range' in each:  # large scale jitter, around the size
                kind = dict(type=each.type, ratio_range=each.ratio_range)
            each.clear()
            each.update(scale=tuple(scale), keep_ratio=True, **kind)
