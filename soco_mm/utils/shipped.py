"""Where the files are that come with the package next to its modules."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def configs_root() -> Path:
    """The folder of configs: of the clone, or of the installed wheel.

    Returns:
        Path: ``configs/`` beside the package in a clone or a source
        distribution, else ``soco_mm/.mim/configs``, where the wheel has them.

    Examples:
        >>> (configs_root() / 'soco/soco_r50_fpn_100e.py').is_file()
        True
    """
    clone = PACKAGE.parent
    # site-packages/configs may be another package's.
    if (clone / 'pyproject.toml').is_file():
        return clone / 'configs'
    return PACKAGE / '.mim/configs'
