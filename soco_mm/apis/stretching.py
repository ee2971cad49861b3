"""One reduction to 8 bits for proposals, training and the detector."""

import pprint
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmengine.config import Config

from soco_mm.checkpoint import read_value
from soco_mm.proposals import ProposalStore
from soco_mm.utils import UsageError
from soco_mm.utils.stretch import check_stretch

from .detector_config import plain

Stretch = tuple[float, float] | None
# Appended to the config of a detector.
STRETCHED = """
# Images of more than 8 bits are reduced as in the pretraining.
custom_imports = dict(
    imports={imports}, allow_failed_imports=False)
"""
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def choose_stretch(
    cfg: Config,
    stretch: Sequence[float] | None = None,
    proposals: str | Path | None = None,
) -> Stretch:
    """Let a pretraining read images as their proposals were made; in place.

    Args:
        cfg (Config): The config of the pretraining.
        stretch (Sequence[float], optional): The percentiles to use. Defaults
            to None: those of the config, else of the proposals.
        proposals (str | Path, optional): Proposals that were made before.
            Defaults to None.

    Returns:
        tuple: The percentiles; None if images are not stretched.

    Raises:
        UsageError: If they are no percentiles, the proposals were made with
            others, or the config does not read images with ``LoadImage``.
        SoCoError: If the proposals cannot be read.
    """
    loaders = list(load_images(cfg.train_dataloader.dataset.get('pipeline')))
    if stretch is None and loaders:
        stretch = loaders[0].get('stretch')
    stretch = check_stretch(stretch)
    if proposals is not None:
        header = ProposalStore.open(proposals).header
        made = check_stretch(header.get('stretch'))
        if stretch is None:
            stretch = made
        # Boxes of other tools are of the images as they are.
        elif stretch != made and header['generator']['type'] != 'Imported':
            flags = '--stretch {:g} {:g}'
            how = f'with {flags.format(*made)} and not' if made else 'without'
            raise UsageError(
                f'The proposals in {proposals} were made {how} '
                f'{flags.format(*stretch)}. Make them anew, or '
                'leave it out.'
            )
    if stretch is not None:
        if not loaders:
            raise UsageError(
                'The pipeline of the config has no LoadImage, so '
                'that --stretch does nothing. Leave it out.'
            )
        for each in loaders:
            each.stretch = stretch
    return stretch


def load_images(pipeline: list[dict] | None) -> Iterator[dict]:
    """The configs of ``LoadImage`` in a pipeline."""
    return (
        each
        for each in pipeline or ()
        if str(each['type']).rpartition('.')[2] == 'LoadImage'
    )


def stretch_of(checkpoint: dict, cfg: Config | None = None) -> Stretch:
    """How a model was trained to read images.

    Args:
        checkpoint (dict): A checkpoint of a pretraining, or exported weights.
        cfg (Config, optional): The config, where the checkpoint has none.
            Defaults to None.

    Returns:
        tuple: The percentiles; None if images are not stretched.
    """
    meta = checkpoint.get('meta') or {}
    if 'stretch' in meta:
        return check_stretch(meta['stretch'])
    loader = read_value(str(meta.get('cfg', '')), 'train_dataloader')
    if loader is None and cfg is not None:
        loader = cfg.get('train_dataloader')
    try:
        found = list(load_images(loader['dataset']['pipeline']))
    except (KeyError, TypeError):
        return None
    return check_stretch(found[0].get('stretch')) if found else None


def stretch_detector(path: Path, stretch: Sequence[float]) -> None:
    """Let a detector read images with a stretch.

    Args:
        path (Path): Its config, to which this is appended.
        stretch (Sequence[float]): The percentiles.

    Raises:
        UsageError: If it does not read images with ``LoadImageFromFile``.
    """
    cfg = Config.fromfile(path)
    imports = (cfg.get('custom_imports') or {}).get('imports', [])
    imports = [imports] if isinstance(imports, str) else list(imports)
    text = STRETCHED.format(imports=[*imports, 'soco_mm.datasets'])
    for name in LOADERS:
        if not cfg.get(name):
            continue
        dataset = plain(cfg[name].dataset)
        if not _replace_loading(dataset, list(stretch)):
            raise UsageError(
                f'The {name} of the detector {path.name} does not read images '
                'with LoadImageFromFile, so that --stretch cannot be handed '
                'over to it.'
            )
        dataset = dict(_delete_=True, **dataset)
        text += f'{name} = dict(dataset={pprint.pformat(dataset, sort_dicts=False)})\n'
    with path.open('a') as stream:
        stream.write(text)


def _replace_loading(node, stretch: list) -> int:
    """Replace ``LoadImageFromFile`` in a part of a config; in place.

    Returns:
        int: In how many places.
    """
    if isinstance(node, list):
        return sum(_replace_loading(each, stretch) for each in node)
    if not isinstance(node, dict):
        return 0
    if str(node.get('type')).rpartition('.')[2] == 'LoadImageFromFile':
        kept = {key: node[key] for key in ('to_float32', 'backend_args') if key in node}
        node.clear()
        node.update(type='soco_mm.LoadStretchedImage', stretch=stretch, **kept)
        return 1
    return sum(_replace_loading(each, stretch) for each in node.values())
