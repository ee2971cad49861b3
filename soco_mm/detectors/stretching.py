"""A detector that reduces images to 8 bits as its pretraining did."""

import pprint
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from soco_mm.checkpoint.config_text import plain_data
from soco_mm.engine.config import LOADERS
from soco_mm.utils import UsageError
from soco_mm.utils.class_names import class_name
from soco_mm.utils.stretch import Stretch, as_percentiles

from .pipelines import find_pipeline, transforms

# Appended to the config of a detector.
STRETCHED = """
# Images of more than 8 bits are reduced as in the pretraining.
custom_imports = dict(
    imports={imports}, allow_failed_imports=False)
"""


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
        dataset = plain_data(cfg[name].dataset)
        if not _replace_loading(dataset, list(stretch)):
            raise UsageError(
                f'The {name} of the detector {path.name} does not read images '
                'with LoadImageFromFile, so --stretch cannot be passed on to it.'
            )
        dataset = dict(_delete_=True, **dataset)
        text += f'{name} = dict(dataset={pprint.pformat(dataset, sort_dicts=False)})\n'
    with path.open('a') as stream:
        stream.write(text)


def detector_stretch(cfg: Config) -> Stretch:
    """How a detector reduces the images that it is evaluated on.

    Args:
        cfg (Config): Its config.

    Returns:
        tuple, optional: The percentiles; None if it reads images as usual.
    """
    for each in transforms(find_pipeline(cfg.val_dataloader.dataset)):
        if class_name(each) == 'LoadStretchedImage':
            return as_percentiles(each.stretch)
    return None


def _replace_loading(node, stretch: list) -> int:
    """Replace ``LoadImageFromFile`` in a part of a config; in place.

    Returns:
        int: Number of places.
    """
    if isinstance(node, list):
        return sum(_replace_loading(each, stretch) for each in node)
    if not isinstance(node, dict):
        return 0
    if class_name(node) == 'LoadImageFromFile':
        kept = {key: node[key] for key in ('to_float32', 'backend_args') if key in node}
        node.clear()
        node.update(type='soco_mm.LoadStretchedImage', stretch=stretch, **kept)
        return 1
    return sum(_replace_loading(each, stretch) for each in node.values())
