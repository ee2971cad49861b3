"""The provenance of weights, copied beside each export of them."""

import json
from pathlib import Path

from soco_mm.utils import write_json

# In the folder of a run, and of an export.
PROVENANCE = 'provenance.json'


def find_provenance(checkpoint: str | Path) -> dict | None:
    """What is known about how a checkpoint was made.

    Args:
        checkpoint (str | Path): A checkpoint in the folder ``checkpoints`` of
            a run, or exported weights.

    Returns:
        dict, optional: The content of ``provenance.json``; None without one.
    """
    path = Path(checkpoint).resolve()
    folder = path.parent.parent if path.parent.name == 'checkpoints' else path.parent
    for place in (path.with_name(f'{path.name}.{PROVENANCE}'), folder / PROVENANCE):
        try:
            found = json.loads(place.read_text(encoding='utf-8'))
        except (OSError, ValueError):
            continue
        if isinstance(found, dict):
            return found
    return None


def copy_provenance(checkpoint: str | Path, to: Path) -> None:
    """Copy what is known about how a checkpoint was made beside an export of it.

    Args:
        checkpoint (str | Path): The checkpoint.
        to (Path): The folder of the export, or its one file, beside which
            ``FILE.provenance.json`` is written.
    """
    found = find_provenance(checkpoint)
    if found is not None:
        write_json(
            to / PROVENANCE if to.is_dir() else to.with_name(f'{to.name}.{PROVENANCE}'),
            found,
        )
