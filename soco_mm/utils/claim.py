"""The folder or file that a job writes."""

import os
from collections.abc import Callable, Collection
from pathlib import Path

from soco_mm.errors import UsageError

from .files import make_writable


def claim(
    out: str | Path,
    kind: str,
    is_own: str | Callable[[Path], bool],
    *,
    suffix: str = '',
    files: Collection[str] | None = None,
    replace: bool = True,
    in_place: bool = False,
    advice: str = 'Choose another place.',
) -> Path:
    """Take a folder or file for what a job writes, or say why not.

    Nothing is written but the folders above it.

    Args:
        out (str | Path): The folder; a file, if there is a ``suffix``.
        kind (str): What the job writes, such as ``a proposal store``.
        is_own (str | Callable): How an earlier result is recognised: the name
            of a file in the folder, or a function of the path.
        suffix (str): The suffix of the file. Defaults to an empty string, for
            a folder.
        files (Collection[str], optional): All that an earlier result holds;
            anything else would be lost. Defaults to None, anything.
        replace (bool): Whether an earlier result may be replaced. Defaults to
            True.
        in_place (bool): It is filled under its own name, not under a temporary one
            that is then renamed. Defaults to False.
        advice (str): What to do if it may not be replaced. Defaults to
            choosing another place.

    Returns:
        Path: The folder or file.

    Raises:
        UsageError: If it holds something else, an earlier result that may not
            be replaced, or cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from soco_mm.utils.claim import claim
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / 'thesis.tex').write_text('')
        >>> claim(folder, 'a proposal store', 'header.json')
        Traceback (most recent call last):
        ...
        soco_mm.errors.UsageError: ... exists and is not a proposal store...
    """
    out = Path(out)
    if suffix and (out.suffix != suffix or out.is_dir()):
        what = 'is a folder' if out.is_dir() else f'does not end in {suffix}'
        raise UsageError(f'{out} {what}. Give a {suffix} file.')
    if os.path.ismount(out) and not in_place:
        raise UsageError(
            f'{out} is a mount point, which cannot be replaced when {kind} is '
            'complete. Give a folder in it.'
        )
    if out.is_dir() and not suffix:
        content = {path.name for path in out.iterdir()}
    else:
        content = {out.name} if out.exists() else set()
    if content:
        own = is_own(out) if callable(is_own) else (out / is_own).is_file()
        if not own:
            raise UsageError(
                f'{out} already exists and is not {kind}. Choose another place.'
            )
        if not replace:
            raise UsageError(f'{out} already holds {kind}. {advice}')
        if files is not None and (others := content.difference(files)):
            raise UsageError(
                f'{out} also holds {min(others)}, which is not part of {kind} and '
                'would be lost. '
                'Choose another place.'
            )
    make_writable(out.parent)
    return out
