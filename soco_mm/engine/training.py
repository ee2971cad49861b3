"""Pretraining: build, resume, run."""

from logging import WARNING
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import barrier, get_rank, get_world_size
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from soco_mm.checkpoint import (
    check_finite,
    compare_tensors,
    read_checkpoint,
    state_dict_of,
)
from soco_mm.checkpoint.provenance import PROVENANCE
from soco_mm.datasets import ObjectViewDataset
from soco_mm.engine import build_runner, unwrap_model
from soco_mm.engine.batch_scaling import scale_learning_rate, scale_momentum
from soco_mm.engine.checkpoint_files import CHECKPOINT_DIR, latest_checkpoint
from soco_mm.engine.config import building
from soco_mm.engine.console import run_training
from soco_mm.engine.hooks.checkpoint_hook import AtomicCheckpointHook
from soco_mm.engine.hooks.replaced_images_hook import ReplacedImagesHook
from soco_mm.engine.hooks.step_guard_hook import StepGuardHook
from soco_mm.engine.hooks.stop_hook import StopHook
from soco_mm.engine.hooks.target_update_hook import TargetUpdateHook
from soco_mm.engine.hooks.timeline_hook import TimelineHook
from soco_mm.engine.init_weights import (
    INIT,
    LoadInitialWeights,
    carry_records,
    init_record,
    match_init_weights,
    resume_images,
    take_over_images,
)
from soco_mm.engine.initial_weights import (
    check_frozen,
    match_initial_weights,
    safe_loading,
)
from soco_mm.engine.loops import accumulation_of, use_own_loop
from soco_mm.engine.out_of_memory import memory_named
from soco_mm.engine.processes import from_first, this_process, together
from soco_mm.engine.provenance import describe_provenance
from soco_mm.engine.quiet_log import tell
from soco_mm.engine.random_states import settle_seed
from soco_mm.engine.runtime import start_processes
from soco_mm.engine.schedules import describe_mismatch
from soco_mm.engine.stopping import lost_processes_named, signals_noted
from soco_mm.utils import SoCoError, UsageError, file_hash, make_writable, write_json
from soco_mm.utils.class_names import class_name
from soco_mm.utils.texts import printable

# Where MMEngine's hook writes; AtomicCheckpointHook has its own place.
SAVERS_PLACE = ('out_dir', 'backend_args', 'file_client_args')
LESS_MEMORY = (
    'Set a smaller --batch-size (train_dataloader.batch_size), with --accumulate for '
    'as many images a step; soco-mm plan tells what fits.'
)


def train_model(
    cfg: Config,
    work_dir: str | Path,
    resume: bool | str | Path = False,
    launcher: str = 'none',
    quiet: bool = False,
) -> Path:
    """Pretrain a model.

    Args:
        cfg (Config): The config.
        work_dir (str | Path): Where checkpoints, logs and the resolved config
            go.
        resume (bool | str | Path): Continue from the last checkpoint in the
            work dir if there is one, or from this one. Defaults to False.
        launcher (str): What started the processes: ``none``, ``pytorch``,
            ``slurm`` or ``mpi``. Defaults to ``none``.
        quiet (bool): Show progress on the console, and write MMEngine's log
            only to its file. Defaults to False.

    Returns:
        Path: The last checkpoint.

    Raises:
        UsageError: If ``work_dir`` holds another training, or the checkpoint
            does not exist.
        SoCoError: If something in the config or the data stops the training,
            its loss or weights are not finite, memory is not enough, or another
            process is gone.
        Stopped: If a signal asks for it; what is done is in a checkpoint.
    """
    if cfg.get('activation_checkpointing'):  # reentrant: what reads images has none
        raise UsageError(
            'With activation_checkpointing of MMEngine a backbone gets no gradients. '
            'Leave it out; model.backbone.with_cp=True saves the memory.'
        )
    cfg.launcher = launcher
    cfg.work_dir = str(work_dir)
    start_processes(cfg)
    together(lambda: make_writable(work_dir))
    checkpoint = choose_checkpoint(work_dir, resume)
    taken = None
    if checkpoint is None:
        taken = together(lambda: take_over_images(cfg))
    else:
        resume_images(cfg, checkpoint)
        if get_rank() == 0:
            carry_records(checkpoint, work_dir)
        cfg.update(resume=True, load_from=str(checkpoint))
    use_own_loop(cfg)
    replaced = use_own_saver(cfg)
    scale_momentum(cfg)
    cfg.train_dataloader.dataset.setdefault('seed', settle_seed(cfg, checkpoint))
    with building():
        runner = build_runner(cfg, quiet)
        check_dataset(runner)
        check_target_update(runner)
        if checkpoint is not None:
            check_resumable(runner, cfg.load_from)
        else:
            check_frozen(cfg)
            start_from_weights(cfg, runner, Path(work_dir))
    if taken:
        tell(taken)
    for note in (replaced, describe_mismatch(cfg)):
        if note:
            tell(note, WARNING)
    scale_learning_rate(runner, cfg)
    runner.register_hook(StepGuardHook())
    runner.register_hook(TimelineHook())
    runner.register_hook(ReplacedImagesHook())
    with safe_loading(), signals_noted() as noted, lost_processes_named():
        runner.register_hook(StopHook(noted))
        with memory_named(LESS_MEMORY):
            run_training(runner)
        # The first process still writes. One that ends meanwhile may abort, with
        # gloo once in three times ("terminate called without an active exception").
        barrier()
    return latest_checkpoint(work_dir)


def use_own_saver(cfg: Config) -> str | None:
    """Replace MMEngine's checkpoints, from which trainings here cannot be resumed.

    Args:
        cfg (Config): The config of a training; changed in place.

    Returns:
        str, optional: What to say about it.
    """
    hooks = cfg.get('default_hooks') or {}
    saver = hooks.get('checkpoint', dict(type=CheckpointHook.__name__, interval=1))
    if class_name(saver or {}) != CheckpointHook.__name__:
        return None
    kept = {key: value for key, value in saver.items() if key not in SAVERS_PLACE}
    kept['type'] = f'soco_mm.{AtomicCheckpointHook.__name__}'
    cfg.default_hooks = dict(hooks, checkpoint=kept)
    return (
        'Checkpoints are written by AtomicCheckpointHook, to checkpoints/ of the work '
        'dir: a training cannot be resumed from those of CheckpointHook.'
    )


def start_from_weights(cfg: Config, runner: Runner, work_dir: Path) -> None:
    """Check what a training starts from, and record it in its folder.

    Raises:
        UsageError: If a file of weights does not exist.
        SoCoError: If one cannot be read or does not fit.
    """
    model = unwrap_model(runner.model)
    for note in match_initial_weights(cfg, model):
        tell(note)
    found = together(lambda: match_init_weights(cfg, model))
    record = None
    if found is not None:
        tell(f'Start: {found.num_filled} tensors are from {found.path}')
        tell(found.describe())
        runner.register_hook(LoadInitialWeights(found))
        record = init_record(cfg, found)
    if get_rank() > 0:
        return
    if record is not None:
        write_json(work_dir / INIT, record)
    else:  # of an earlier training in this folder
        (work_dir / INIT).unlink(missing_ok=True)
    dataset = runner.train_dataloader.dataset
    if isinstance(dataset, ObjectViewDataset):
        known = describe_provenance(cfg, model, dataset, record)
        write_json(work_dir / PROVENANCE, known)


def choose_checkpoint(work_dir: str | Path, resume: bool | str | Path) -> Path | None:
    """The checkpoint that all processes of a training resume from.

    The first process decides; all others must have the same file.

    Args:
        work_dir (str | Path): Where the checkpoints of the training go.
        resume (bool | str | Path): See :func:`train_model`.

    Returns:
        Path, optional: The checkpoint, None to start from the beginning.

    Raises:
        UsageError: On all processes, if there are checkpoints but ``resume``
            is not set, if there is no such checkpoint, or if one process does
            not have it.
    """
    own = latest_checkpoint(work_dir)

    def refuse():
        if not resume and own:
            raise UsageError(
                f'{work_dir} already holds the checkpoints of a training. '
                'Continue it with --resume, or choose another folder.'
            )
        if isinstance(resume, (str, Path)) and not Path(resume).is_file():
            raise UsageError(
                f'There is no checkpoint {resume} to resume from ({this_process()}).'
            )

    together(refuse)
    if not resume:
        return None
    if resume is not True:
        checkpoint = Path(resume)
    else:
        name = from_first(own and own.name)
        checkpoint = Path(work_dir, CHECKPOINT_DIR, name) if name else None
    if get_world_size() == 1:
        return checkpoint
    wanted = from_first(
        file_hash(checkpoint) if checkpoint and get_rank() == 0 else None
    )

    def compare():
        shared = (
            'All processes must see the same work dir: put it on '
            'storage that the nodes share, or copy it to each.'
        )
        if checkpoint is None and own:
            raise UsageError(
                f'There is {own} on {this_process()}, but '
                f'process 0 sees no checkpoint. {shared}'
            )
        if checkpoint is not None and not checkpoint.is_file():
            raise UsageError(
                f'The checkpoint {checkpoint}, from which '
                'process 0 resumes, does not exist on '
                f'{this_process()}. {shared}'
            )
        if checkpoint is not None and file_hash(checkpoint) != wanted:
            raise UsageError(
                f'The checkpoint {checkpoint} on '
                f'{this_process()} differs from that of '
                f'process 0. {shared}'
            )

    together(compare)
    return checkpoint


def check_resumable(runner: Runner, path: str | Path) -> None:
    """Refuse a checkpoint that is not of this model.

    MMEngine would load what fits and only warn about the rest.

    Raises:
        SoCoError: If it has another architecture, holds NaN or infinity, or
            cannot be read.
    """
    checkpoint = read_checkpoint(path)
    check_finite(dict(optimizer=checkpoint.get('optimizer')), path)
    wrong = compare_tensors(
        unwrap_model(runner.model).state_dict(), state_dict_of(checkpoint, path)
    ).mismatches()
    if wrong or 'optimizer' not in checkpoint:
        raise SoCoError(
            f'{path} is not a checkpoint of this training: '
            f'{wrong[0] if wrong else "it has no optimizer"}. Resume with the '
            'config it was trained with.'
        )


def check_target_update(runner: Runner) -> None:
    """Refuse a target network that nothing updates.

    Raises:
        UsageError: If ``custom_hooks`` lacks the hook that does.
    """
    updated = hasattr(unwrap_model(runner.model), 'update_target')
    if updated and not any(isinstance(each, TargetUpdateHook) for each in runner.hooks):
        raise UsageError(
            'custom_hooks has no TargetUpdateHook, so the target network would stay '
            'as it began. A list in a config replaces that of its base: add '
            "dict(type='TargetUpdateHook') to it."
        )


def check_dataset(runner: Runner) -> None:
    """Refuse a data set that is missing or does not fill one batch.

    Raises:
        SoCoError: If it is refused, or its images do not fit their proposals.
    """
    loader = runner.train_dataloader
    if isinstance(loader.dataset, ObjectViewDataset):
        for note in loader.dataset.compare_images():
            tell(printable(note), WARNING)
    if len(loader) == 0:
        accumulated = accumulation_of(runner.optim_wrapper)
        step = f' and {accumulated} iterations a step' * (accumulated > 1)
        raise SoCoError(
            f'The data set has {len(loader.dataset)} images, fewer than one '
            f'batch of {loader.batch_size} on each of {runner.world_size} '
            f'processes{step}. Set a smaller train_dataloader.batch_size.'
        )
