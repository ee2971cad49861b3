"""Folders that belong to one run, which can be continued or replaced."""

import ast
import json
import os
import shutil
from pathlib import Path

from soco_mm.log import logger
from soco_mm.utils import UsageError, atomic_write, make_writable
from soco_mm.utils.claim import claim
from soco_mm.utils.differences import flatten, in_words
from soco_mm.utils.image_files import JOB, RUN_PARTS, holds_results

# Parts of a job that hold values of a config, by key.
OF_CONFIG = ('settings', 'options')
# What is meant by a key that no argument has.
NAMES = {'init_sha256': 'content of --init (SHA-256)'}
# Values of a job that are paths of what the run reads.
INPUTS = (
    'images',
    'root',
    'proposals',
    'ann',
    'config',
    'detector',
    'init',
    'exported',
    'train',
    'val',
    'val_images',
)
# The same of a config, by the ends of their keys.
READ_BY_CONFIG = {
    'ann_file',
    'annotations',
    'checkpoint',
    'data_root',
    'load_from',
    'proposals',
}
# Results do not depend on these parts of a config.
HARMLESS = (
    'checkpoint_every',
    'default_hooks.checkpoint',
    'default_hooks.logger',
    'default_hooks.timer',
    'env_cfg',
    'log_level',
    'log_processor',
    'train_dataloader.num_workers',
    'train_dataloader.persistent_workers',
    'train_dataloader.pin_memory',
    'train_dataloader.prefetch_factor',
    'val_dataloader.num_workers',
    'val_dataloader.persistent_workers',
    'visualizer',
)
# A run can be resumed with other values of these, by the epochs that are done,
# see :func:`soco_mm.engine.resume_by_progress`.
CONVERTED = (
    'accumulate',
    'auto_scale',
    'epochs',
    'batch_size',
    'precision',
    'auto_scale_lr',
    'optim_wrapper.accumulative_counts',
    'optim_wrapper.clip_grad',
    'optim_wrapper.dtype',
    'optim_wrapper.loss_scale',
    'optim_wrapper.optimizer.lr',
    'optim_wrapper.optimizer.weight_decay',
    'optim_wrapper.type',
    'param_scheduler',
    'train_cfg',
    'train_dataloader.batch_size',
)


def resumed_arguments(out: Path, given: dict) -> dict:
    """The arguments of a run that is resumed.

    Args:
        out (Path): The folder of the run.
        given (dict): Arguments that are given now, None for those that are
            not; ``options`` are values of the config by dotted key.

    Returns:
        dict: The same, with the values that the run was started with instead
        of None. Options that are given now are added to those of the run. If
        there is no run, the arguments as they are.

    Raises:
        UsageError: If what the folder says about the run cannot be read, or it is
            a pretraining where a fine-tuning is resumed, or the reverse.
    """
    there = read_job(out)
    if there is None:
        return given
    check_kind(out, there, given)
    started = {**there, **there.get('given', {})}
    started['options'] = read_options(there.get('options') or {})
    merged = {
        key: started.get(key) if value is None else value
        for key, value in given.items()
    }
    merged['options'] = {**started['options'], **(given.get('options') or {})}
    return merged


def written_options(options: dict) -> dict:
    """Values of a config as a job holds them: tuples stay distinct from lists."""
    return {key: repr(value) for key, value in options.items()}


def read_options(written: dict) -> dict:
    """Values of a config out of a job."""
    options = {}
    for key, text in written.items():
        try:
            options[key] = ast.literal_eval(
                _Infinite().visit(ast.parse(text, mode='eval'))
            )
        except (SyntaxError, ValueError):
            options[key] = text
    return options


class _Infinite(ast.NodeTransformer):
    """Reads ``inf`` and ``nan`` as Python writes them."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(float(node.id)) if node.id in ('inf', 'nan') else node


def read_job(out: Path) -> dict | None:
    """What a folder says about the run in it, None if there is none.

    Raises:
        UsageError: If it cannot be read.
    """
    marker = out / JOB
    if not marker.is_file():
        return None
    try:
        there = json.loads(marker.read_text(encoding='utf-8'))
        if not isinstance(there, dict):
            raise ValueError('no dictionary')
    except (OSError, ValueError) as error:
        raise UsageError(
            f'{marker} cannot be read ({error}). Start again with --overwrite.'
        ) from None
    return there


def claim_run(out: Path, job: dict, resume: bool, overwrite: bool) -> dict:
    """Take a folder for a run, or say why not.

    A run that is resumed may differ in what its results do not depend on
    (``HARMLESS``), and in what can be converted (``CONVERTED``); its number
    of epochs may grow.

    Args:
        out (Path): The folder.
        job (dict): What the run depends on, plain data.
        resume (bool): Whether an existing run is continued.
        overwrite (bool): Whether it is deleted.

    Returns:
        dict: What differs from the existing run, the value then and now by
        key; empty if there is none.

    Raises:
        UsageError: If the folder holds another run or other files, the same
            run without ``resume``, or cannot be written; or if what would be
            deleted is what the run reads.
    """
    marker = out / JOB
    if overwrite and marker.is_file():
        check_overwrite(out, job)
        # The marker is removed last: what a kill leaves can still be overwritten.
        for path in sorted(out.iterdir(), key=marker.__eq__):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    claim(out, 'a run', JOB, in_place=True)
    changed = {}
    if (there := read_job(out)) is not None:
        check_kind(out, there, job)
        changed = compare_jobs(out, there, job, resume)
        if changed:
            logger.info(f'Resumed with other settings: {in_words(changed)}')
    make_writable(out)
    atomic_write(marker, json.dumps(job, indent=1, default=str))
    return changed


def check_kind(out: Path, there: dict, job: dict) -> None:
    """Refuse a pretraining where a fine-tuning is meant, and the reverse.

    Raises:
        UsageError: If the folder holds the other.
    """
    found, meant = (
        'fine-tuning' if 'exported' in each else 'pretraining' for each in (there, job)
    )
    if found != meant:
        raise UsageError(f'{out} holds a {found}, not a {meant}. Give another --out.')


def check_overwrite(out: Path, job: dict) -> None:
    """Refuse to delete what a run reads, or a run of the other kind.

    Raises:
        UsageError: If ``--overwrite`` would.
    """
    try:
        there = read_job(out)
    except UsageError:  # it cannot be read, and is replaced
        there = None
    check_kind(out, job if there is None else there, job)
    if other := other_results(out):
        raise UsageError(
            f'--overwrite would delete {other}, which is a result of its own. Move it, '
            'or choose another --out.'
        )
    whole = {out.resolve(), Path(os.path.abspath(out))}
    inputs = [(key, job.get(key)) for key in INPUTS]
    for part in (job.get('settings') or {}, read_options(job.get('options') or {})):
        inputs += [
            (key, value)
            for key, value in flatten(part).items()
            if key.rpartition('.')[2] in READ_BY_CONFIG
        ]
    for key, given in inputs:
        for each in given if isinstance(given, list) else [given]:
            if not isinstance(each, str) or not os.path.exists(each):
                continue
            # A link in the folder is deleted too, wherever it leads.
            places = Path(each).resolve(), Path(os.path.abspath(each))
            if any(whole & {place, *place.parents} for place in places):
                raise UsageError(
                    f'--overwrite would delete {each}, which this run reads '
                    f'({key}). Choose another --out.'
                )


def other_results(out: Path) -> Path | None:
    """A run, export or store in the folder of a run that is no part of it."""
    for folder, folders, files in os.walk(out):
        if folder == str(out):
            folders[:] = [each for each in folders if not each.startswith(RUN_PARTS)]
        elif JOB in files or holds_results(folders, files):
            return Path(folder)
    return None


def compare_jobs(out: Path, there: dict, job: dict, resume: bool) -> dict:
    """Compare the run in a folder with a job that shall continue it.

    Returns:
        dict: What differs, the value then and now by key.

    Raises:
        UsageError: If it is another run, or ``resume`` is not set.
    """
    # In the form in which it is read back.
    job = json.loads(json.dumps(job, default=str))
    older = [key for key in job if key in OF_CONFIG and key not in there]
    if older:
        raise UsageError(
            f'{out} holds a run of another version of soco_mm, which did not '
            f'record its {older[0]}. Finish it with that version, or choose '
            'another folder.'
        )
    then, now = flatten(there), flatten(job)
    # Settings are what a config and options make together.
    compared = set(job) - {'given', 'base'}
    if 'settings' in job:
        compared -= {'config', 'options'}
    changed = {
        key: (then.get(key), now.get(key))
        for key in dict.fromkeys([*now, *then])
        if then.get(key) != now.get(key) and key.split('.')[0] in compared
    }
    changed = {
        NAMES.get(key, key.removeprefix('settings.').removeprefix('options.')): values
        for key, values in changed.items()
    }
    refused = {
        key: values for key, values in changed.items() if not can_differ(key, *values)
    }
    if refused:
        advice = (
            'To continue the run, leave them out; for another run choose another folder'
            if resume
            else 'Choose another folder, or delete that run with --overwrite'
        )
        raise UsageError(f'{out} was started with {in_words(refused)}. {advice}.')
    if not resume:
        what = f' (started with {in_words(changed)})' * bool(changed)
        raise UsageError(
            f'{out} already holds this run{what}. Continue it '
            'with --resume, or choose another folder.'
        )
    return changed


def can_differ(key: str, then, now) -> bool:
    """Whether a run can be resumed with another value."""
    if key == 'epochs':  # none of a training that counts in steps
        return then is None or (now is not None and now >= then)
    return any(
        key == each or key.startswith(each + '.') for each in HARMLESS + CONVERTED
    )
