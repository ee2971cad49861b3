import os
from pathlib import Path

from mmengine.config import Config, ConfigDict

from soco_mm.coco import SAME_NAMES, has_splits, holds_annotations, images_of_val
from soco_mm.evaluation import ObjectCrops, find_classes
from soco_mm.log import logger
from soco_mm.utils import UsageError


def choose_data(
    cfg: Config,
    train: str | Path | None = None,
    val: str | Path | None = None,
    images: str | Path | None = None,
    val_images: str | Path | None = None,
) -> tuple[str, ...]:
    """Set the data sets of a probe, and check them; in place.

    Args:
        cfg (Config): The config of a probe.
        train (str | Path, optional): A folder with one folder of images per
            class, or annotations, whose objects are classified. Defaults to
            None, as the config says.
        val (str | Path, optional): The same for validation. Defaults to None,
            that of the same data set, if ``train`` names a whole one, else as
            the config says.
        images (str | Path, optional): The folder of the images of
            annotations. Defaults to None, where the layout says.
        val_images (str | Path, optional): The same for validation. Defaults
            to None, see :func:`soco_mm.coco.images_of_val`.

    Returns:
        tuple[str]: Names of the classes.

    Raises:
        UsageError: If the data are not as they should be.
        SoCoError: If annotations or an image cannot be used.
    """
    voters, queries = (
        loader.dataset for loader in (cfg.train_dataloader, cfg.val_dataloader)
    )
    if train is None or not holds_annotations(train):
        for given in (images, val_images):
            if given is not None:
                raise UsageError(
                    f'{given} is given as the images of annotations, but '
                    f'{train} holds class folders. Leave it out.'
                )
        if val is not None and holds_annotations(val):
            raise UsageError(
                f'{val} holds annotations, but '
                f'{train or voters.data_root} class folders. '
                'Give two of the same kind.'
            )
        voters.data_root = str(train or voters.data_root)
        queries.data_root = str(val or queries.data_root)
        queries.classes_of = voters.data_root
        classes = find_classes(voters.data_root)
        if os.path.realpath(queries.data_root) == os.path.realpath(voters.data_root):
            logger.info(
                f'The images in {voters.data_root} are both trained on and '
                'classified, which makes the accuracy too good'
            )
        return tuple(classes)
    if val is None and not has_splits(train):
        raise UsageError(
            f'{train} does not say which images are for '
            'validation. Give their annotations with --val.'
        )
    if val is not None and not holds_annotations(val):
        raise UsageError(
            f'{train} holds annotations, but {val} does not. Give two of the same kind.'
        )
    cfg.train_dataloader.dataset = _crops(voters, train, images, 'train')
    cfg.val_dataloader.dataset = _crops(
        queries,
        train if val is None else val,
        images_of_val(train, val, images, val_images),
        'val',
    )
    return _read_crops(cfg)


def _crops(
    dataset: ConfigDict, annotations: str | Path, images: str | Path | None, split: str
) -> ConfigDict:
    """Config of annotated objects instead of a folder of images."""
    return ConfigDict(
        type='ObjectCrops',
        annotations=str(annotations),
        images=None if images is None else str(images),
        split=split,
        test_mode=dataset.get('test_mode', False),
        pipeline=dataset.pipeline,
    )


def _read_crops(cfg: Config) -> tuple[str, ...]:
    """Read both data sets of objects once and log what is in them.

    Returns:
        tuple[str]: Names of the classes, which both configs now have.
    """
    classes = None
    seen: set = set()
    for split in ('train', 'val'):
        dataset = cfg[f'{split}_dataloader'].dataset
        dataset.classes = classes
        known = {
            key: dataset[key] for key in ('annotations', 'images', 'split', 'classes')
        }
        crops = ObjectCrops(**known)
        classes = dataset.classes = list(crops.metainfo['classes'])
        paths = {
            os.path.realpath(crops.get_data_info(i)['img_path'])
            for i in range(len(crops))
        }
        lines = describe_crops(crops)
        if twice := len(paths & seen):
            lines.append(
                f'  {twice} images are also in train, which makes the accuracy too '
                f'good{SAME_NAMES}'
            )
        seen = paths
        head = (
            f'{split}: {len(crops)} objects on {len(paths)} images of '
            f'{dataset.annotations}'
        )
        logger.info('\n'.join([head, *lines]))
    return tuple(classes)


def describe_crops(crops: ObjectCrops) -> list[str]:
    """What was left out of annotations or changed, one line each."""
    lines = [f'  {line}' for line in crops.account.lines()]
    if crops.turned:
        lines.append(
            f'  {len(crops.turned)} photos are turned or mirrored by EXIF, and'
            ' their sizes do not tell whether the boxes belong to the photo as '
            f'it is shown (for example {crops.turned[0]})'
        )
    return lines
