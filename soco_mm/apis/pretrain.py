"""From a folder of images to a detector that starts from them."""

from collections.abc import Sequence
from pathlib import Path

from soco_mm.checkpoint.handed_over import given_parts
from soco_mm.checkpoint.pretrained import HANDED_OVER
from soco_mm.detectors.fit import REPORT, HandOff, try_fit
from soco_mm.detectors.pretraining_recipe import plan_pretraining
from soco_mm.engine.checkpoint_files import latest_checkpoint
from soco_mm.engine.levels import say_levels
from soco_mm.engine.pretraining import PretrainArguments
from soco_mm.engine.preview import draw_preview
from soco_mm.engine.retrieval import is_half_measured, log_retrieval
from soco_mm.engine.training import train_model
from soco_mm.engine.vis_backend import log_to_tensorboard
from soco_mm.job import claim_run
from soco_mm.log import logger
from soco_mm.proposals.listing import ImageSource
from soco_mm.proposals.reuse import check_proposals
from soco_mm.utils import exclusive, is_older

from .export import export_detector
from .results import PREVIEW, PretrainResult


def pretrain(
    images: ImageSource | None,
    out: str | Path,
    *,
    config: str | Path | None = None,
    options: dict | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    accumulate: int | None = None,
    auto_scale: bool | None = None,
    precision: str | None = None,
    checkpoint_every: str | float | None = None,
    workers: int | None = None,
    preset: str | None = None,
    ann: str | Path | None = None,
    proposals: str | Path | None = None,
    root: str | Path | None = None,
    stretch: Sequence[float] | None = None,
    detector: str | Path | None = None,
    adapt: bool | None = None,
    backbone_only: bool | None = None,
    parts: str | Sequence[str] | None = None,
    train: str | Sequence[str] | None = None,
    init: str | Path | None = None,
    init_partial: bool | None = None,
    init_licence: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: bool = False,
    verbose: bool = False,
) -> PretrainResult:
    """Make proposals, pretrain and export, all into one folder.

    A run that was stopped goes on with ``resume``: an argument that is then
    None keeps the value that the run was started with; workers may then differ,
    the run may become longer, and schedules continue by the epochs done.

    Args:
        images (str | Path | Sequence, optional): The folder of unlabelled
            images, several, or a file that lists them. Not needed to resume.
        out (str | Path): The folder of this run.
        config (str | Path, optional): The config, or its name under
            ``configs/soco``. Defaults to ``detector``'s own; else, with ``init`` and
            few images, the short recipe of its backbone; else the R50-FPN's.
        options (dict, optional): Values of the config, by dotted key.
        epochs (int, optional): Length of the training. Defaults to the config's.
        batch_size (int, optional): Images of an iteration. Defaults to the config's,
            at most 16 on a CPU if it counts in epochs, at most all images.
        accumulate (int, optional): Iterations of a step. Defaults to the config's.
        auto_scale (bool, optional): See :mod:`soco_mm.engine.batch_scaling`.
        precision (str, optional): See :func:`set_precision`.
        checkpoint_every (str, optional): See :class:`AtomicCheckpointHook`.
        workers (int, optional): Processes that load images; one per core, at most 16.
        preset (str, optional): Settings of the proposals. Defaults to ``paper``.
        ann (str | Path, optional): Annotations of a few images, to which the
            proposals are fitted, see :func:`fit_settings`. Defaults to None.
        proposals (str | Path, optional): Existing proposals. Defaults to None.
        root (str | Path, optional): What the paths in a file of images are
            relative to. Defaults to None, the folder of the file.
        stretch (Sequence[float], optional): Percentiles of images of over 8 bits.
        detector (str | Path, optional): The MMDetection config of the
            detector, see :func:`plan_pretraining`. Defaults to a Mask R-CNN.
        adapt (bool, optional): Give it the model's norms. Defaults to no.
        backbone_only (bool, optional): Fill only its backbone. Defaults to no.
        parts (str | Sequence[str], optional): Fill only these of its parts, see
            :func:`export_detector`. Defaults to the recipe's ``handed_over``.
        train (str | Sequence[str], optional): Train only these, of ``backbone``,
            ``neck`` and ``head``. Defaults to None, see ``model.frozen_parts``.
        init (str | Path, optional): Weights to start from, of any library, see
            :func:`read_weights`. Defaults to None, random weights.
        init_partial (bool, optional): They need not fill the whole backbone.
        init_licence (str, optional): Their licence, for ``provenance.json``.
        resume (bool): Continue a run that was stopped. Defaults to False.
        overwrite (bool): Delete what an earlier run left. Defaults to False.
        tensorboard (bool): Write scalars for TensorBoard too. Defaults to False.
        verbose (bool): Show MMEngine's log, not progress. Defaults to False.

    Returns:
        PretrainResult: Paths of what was made.

    Raises:
        UsageError: If an argument is wrong or does not fit the run in ``out``, or
            another process runs there.
        SoCoError: If the images or the data stop the job, or the model does
            not fit the detector.
    """
    given, out = PretrainArguments.of(locals()), Path(out)
    given.check(workers)
    given = given.complete(out, resume)
    plan = plan_pretraining(given, out, overwrite)
    plan.start(resume)
    chosen = given_parts(given.parts, given.backbone_only)
    handoff = HandOff(given.detector, given.adapt, chosen)
    if given.proposals is not None:
        check_proposals(given.proposals, plan.images, plan.stretch)
    plan.try_out(resume)
    begun = resume and latest_checkpoint(out) is not None
    try_fit(plan.cfg.model, handoff, plan.stretch, plan.cfg.get(HANDED_OVER), begun)
    if tensorboard:
        log_to_tensorboard(plan.cfg)
    with exclusive(out, 'a run'):
        claim_run(out, plan.job(), resume, overwrite)
        store = plan.get_proposals(workers)
        plan.use(store, workers)
        cfg = plan.cfg
        logger.info(f'Proposals and views: {draw_preview(cfg, out / PREVIEW)}')
        checkpoint = latest_checkpoint(out)
        fresh = checkpoint is None or checkpoint.name != plan.last_name(store)
        if fresh or is_half_measured(out):
            logger.info(plan.describe(store))
            checkpoint = train_model(cfg, out, resume, quiet=not verbose)
        exported = out / 'exported'
        if fresh or is_older(exported / REPORT, checkpoint):
            report = export_detector(
                checkpoint,
                exported,
                config=cfg,
                image=Path(plan.images.root, store.path(0)),
                **vars(handoff),
            )
            logger.info(report.describe())
            say_levels(cfg)
        log_retrieval(out)
        return PretrainResult.of(out, store.folder, checkpoint)
