"""Compare the losses of two trainings to the last bit.

A change that must not change results is proved so: record the losses before
and after it on one machine with record_losses.py, and compare the two folders.
"""

import argparse
import json
import sys
from pathlib import Path

from soco_mm.cli import run
from soco_mm.utils import UsageError


def read_losses(path: Path) -> dict[tuple[int, str], float]:
    """Read a file of JSON lines, as a training logs them to ``scalars.json``.

    Args:
        path (Path): The file. Lines without a step or without a loss (of an
            evaluation, for example) are left out; of a step that was trained
            again after a resume, the last line counts.

    Returns:
        dict[tuple[int, str], float]: Each ``loss...`` by its step and key.

    Raises:
        UsageError: If the file is not there, is not JSON lines or holds no
            losses.

    Examples:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), 'scalars.json')
        >>> _ = path.write_text('{"step": 1, "loss": -0.25, "lr": 0.1}')
        >>> read_losses(path)
        {(1, 'loss'): -0.25}
    """
    losses = {}
    try:
        for line in path.read_text().splitlines():
            row = json.loads(line)
            losses.update(
                ((row['step'], key), float(row[key]))
                for key in row
                if key.startswith('loss') and 'step' in row
            )
    except OSError as error:
        raise UsageError(f'{path} cannot be read: {error.strerror}.') from None
    except (ValueError, TypeError, AttributeError):
        raise UsageError(
            f'{path} is not JSON lines. Give a scalars.json of a training, or '
            'a file of record_losses.py.'
        ) from None
    if not losses:
        raise UsageError(f'{path} holds no losses.')
    return losses


def read_machine(path: Path) -> dict[str, str] | None:
    """Read on what a file of losses was recorded.

    Args:
        path (Path): The file.

    Returns:
        dict[str, str], optional: Its first line, if record_losses.py wrote it.
    """
    with path.open() as stream:
        return json.loads(stream.readline()).get('machine')


def first_difference(first: Path, second: Path) -> str | None:
    """Find the first loss in which two files differ.

    Equal means the same bits: NaN equals NaN, and -0 is not 0.

    Args:
        first (Path): A file, see :func:`read_losses`.
        second (Path): Another.

    Returns:
        str, optional: The difference in words; None if there is none.

    Raises:
        UsageError: See :func:`read_losses`.
    """
    a, b = read_losses(first), read_losses(second)
    for step, key in sorted(a.keys() | b.keys()):
        for path, losses in ((first, a), (second, b)):
            if (step, key) not in losses:
                return f'step {step}: {path} has no {key}'
        x, y = a[step, key], b[step, key]
        if x.hex() != y.hex():
            return f'step {step}: {key} is {x!r} in {first} and {y!r} in {second}'
    return None


def pair_up(first: Path, second: Path) -> list[tuple[Path, Path]]:
    """The files to compare: two files, or those of two folders by name.

    Raises:
        UsageError: If only one is a folder, or the folders do not hold files
            of the same names.
    """
    if first.is_dir() != second.is_dir():
        raise UsageError(f'{first} and {second} must be two files or two folders.')
    if not first.is_dir():
        return [(first, second)]
    names = [sorted(p.name for p in each.glob('*.json')) for each in (first, second)]
    if names[0] != names[1] or not names[0]:
        raise UsageError(
            f'{first} and {second} must hold loss files (.json) of the same '
            f'names, but hold {names[0]} and {names[1]}.'
        )
    return [(first / name, second / name) for name in names[0]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    for name in 'AB':
        parser.add_argument(
            name,
            type=Path,
            help='a file of losses (scalars.json of a training), or a folder '
            'of record_losses.py',
        )
    args = parser.parse_args()
    differ = False
    for first, second in pair_up(args.A, args.B):
        difference = first_difference(first, second)
        differ |= difference is not None
        count = len(read_losses(first))
        print(f'{first.name}: {difference or f"bit-equal ({count} losses)"}')
        if difference and read_machine(first) != read_machine(second):
            print(
                'They are of different machines or versions, which round differently.'
            )
    sys.exit(1 if differ else 0)


if __name__ == '__main__':
    run(main)
