"""Folders that belong to one job, which can be continued or replaced."""
import json
import shutil
from pathlib import Path

from soco_mm.utils import UsageError, atomic_write, make_writable

JOB = 'job.json'


def claim(out: Path, job: dict, resume: bool, overwrite: bool) -> None:
    """Take a folder for a job, or say why not.

    Raises:
        UsageError: If the folder holds another job or other files, the same
            job without ``resume``, or cannot be written.
    """
    marker = out / JOB
    if overwrite and marker.is_file():
        # The marker last: what a kill leaves can still be overwritten.
        for path in sorted(out.iterdir(), key=marker.__eq__):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    if out.is_dir() and any(out.iterdir()):
        if not marker.is_file():
            raise UsageError(f'{out} holds files that are not of a run. '
                             'Choose an empty folder.')
        try:
            there = json.loads(marker.read_text())
        except (OSError, ValueError) as error:
            raise UsageError(f'{marker} cannot be read ({error}). Start anew '
                             'with --overwrite.') from None
        differing = [
            f'{key.replace("_", " ")} {there.get(key)} and not {job[key]}'
            for key in job if there.get(key) != job[key]
        ]
        if differing:
            raise UsageError(
                f'{out} holds another job ({"; ".join(differing)}). Choose '
                'another folder, or delete that job with --overwrite.')
        if not resume:
            raise UsageError(
                f'{out} holds this job already. Continue it with --resume, '
                'or start anew with --overwrite.')
    make_writable(out)
    atomic_write(marker, json.dumps(job, indent=1))
