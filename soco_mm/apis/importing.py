import argparse
from pathlib import Path

from mmengine.config import Config

from soco_mm.checkpoint import (
    convert_released,
    read_checkpoint,
    released_layout,
    write_checkpoint,
)
from soco_mm.engine.config import load_config
from soco_mm.utils import SoCoError
from soco_mm.utils.claim import claim
from soco_mm.version import __version__

# The config for each layout. Recipes of one layout train the same model, so the
# weights do not show which one it was.
CONFIG_BY_LAYOUT = dict(
    FPN='released/soco_r50_fpn_100e', C4='released/soco_r50_c4_100e'
)


def import_released(source: str | Path, out: str | Path) -> int:
    """Turn a released checkpoint, FPN, SoCo* or C4, into one of this plugin.

    It records the model's config, so that it can be exported without one.

    Args:
        source (str | Path): A checkpoint ``{'model': ..., 'epoch': ...}``.
        out (str | Path): The file to write, which must not exist yet.

    Returns:
        int: Number of entries, all of which were used.

    Raises:
        UsageError: If ``out`` exists or cannot be written.
        SoCoError: If it is not such a checkpoint.
    """
    out = claim(
        out,
        'a checkpoint',
        Path.is_file,
        suffix=Path(out).suffix,
        replace=False,
        advice='Choose another name, or remove it.',
    )
    # The released code keeps its arguments in it.
    checkpoint = read_checkpoint(source, (argparse.Namespace,))
    if not isinstance(checkpoint.get('model'), dict):
        keys = [str(key) for key in checkpoint]
        others = f' and {len(keys) - 3} more' * (len(keys) > 3)
        raise SoCoError(
            f'{source} is not a released checkpoint: it has no dictionary '
            f'"model", only {", ".join(keys[:3]) or "nothing"}{others}.'
        )
    state_dict = convert_released(checkpoint['model'])
    model = load_config(CONFIG_BY_LAYOUT[released_layout(checkpoint['model'])]).model
    meta = dict(
        soco_mm_version=__version__,
        imported_from=Path(source).name,
        epoch=checkpoint.get('epoch'),
        cfg=Config(dict(model=model)).pretty_text,
    )
    write_checkpoint(out, dict(meta=meta, state_dict=state_dict))
    return len(state_dict)
