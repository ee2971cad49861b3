import copy
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from soco_mm.datasets.stretching import choose_stretch
from soco_mm.detectors.fit import REPORT, WEIGHTS, check_detector, exported_config
from soco_mm.engine.config import load_config
from soco_mm.engine.hooks.checkpoint_hook import latest_checkpoint
from soco_mm.engine.job import begun_arguments, claim, written_options
from soco_mm.engine.preview import draw_preview
from soco_mm.engine.schedules import set_epochs
from soco_mm.engine.training import train_model
from soco_mm.engine.trial import naming, try_pretraining
from soco_mm.proposals import ProposalStore, build_settings
from soco_mm.proposals.layout import HEADER
from soco_mm.proposals.listing import ImageSet, ImageSource, list_input
from soco_mm.proposals.make import make_proposals
from soco_mm.proposals.pixels import check_pixels
from soco_mm.proposals.summary import describe_proposals, warn_of_depth
from soco_mm.utils import SoCoError, UsageError
from soco_mm.utils.files import printable

from .export import export_detector

CONFIG = 'soco_r50_fpn_100e'
PRESET = 'paper'
# R50 at the paper's views takes 0.4 GB an image.
CPU_BATCH_SIZE = 16
# What the job sets itself.
ARGUMENTS = {
    'train_dataloader.dataset.data_root': 'IMAGES',
    'train_dataloader.dataset.proposals': '--proposals',
    'work_dir': '--out',
    'visualizer.save_dir': '--out',
    'resume': '--resume',
    'launcher': 'tools/dist_train.sh',
}


def pretrain(
    images: ImageSource | None,
    out: str | Path,
    config: str | Path | None = None,
    options: dict | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    preset: str | None = None,
    proposals: str | Path | None = None,
    root: str | Path | None = None,
    stretch: Sequence[float] | None = None,
    detector: str | Path | None = None,
    adapt: bool | None = None,
    backbone_only: bool | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> dict:
    """From a folder of images to a detector that starts from them.

    Makes proposals, pretrains, and exports, all into one folder; what is
    there already is not made again.

    With ``resume`` whatever is None is as the run was begun with. Log
    interval and workers may then be others, the run may become longer, and
    with another batch size the schedules go on by the epochs that are done.

    Args:
        images (str | Path | Sequence, optional): The folder of unlabelled
            images, or several; a text file or a COCO json that lists them,
            see :func:`soco_mm.proposals.listing.list_input`. Needed unless a
            run is resumed.
        out (str | Path): The folder of this run.
        config (str | Path, optional): The config, or its name under
            ``configs/soco``. Defaults to None, ``soco_r50_fpn_100e``.
        options (dict, optional): Values of the config to set, by dotted key.
            Defaults to None.
        epochs (int, optional): Length of the training. Defaults to None, as
            the config says.
        batch_size (int, optional): Images a step. Defaults to None, as the
            config says, 16 on a CPU, and no more than there are images.
        workers (int, optional): Processes that load images, and that make
            proposals. Defaults to None, one a core.
        preset (str, optional): Parameters of the proposals. Defaults to
            None, ``paper``.
        proposals (str | Path, optional): Proposals that were made before.
            Defaults to None, make them.
        root (str | Path, optional): What the paths in a file of images are
            relative to. Defaults to None, the folder of the file.
        stretch (Sequence[float], optional): The percentiles of images of more
            than 8 bits that become 0 and 255, in proposals, training and the
            exported detector. Defaults to None: as in the config, else as in
            ``proposals``.
        detector (str | Path, optional): The MMDetection config of the
            detector to hand over to, see :func:`export_detector`. Defaults to
            None, the Mask R-CNN that the model is made for.
        adapt (bool, optional): Give that detector the norm layers and the
            normalisation of images that the model has. Defaults to None, no.
        backbone_only (bool, optional): Fill the backbone of that detector
            alone. Defaults to None, no.
        resume (bool): Continue a run that was stopped. Defaults to False.
        overwrite (bool): Delete what an earlier run left. Defaults to False.

    Returns:
        dict: Paths of what was made, by name.

    Raises:
        UsageError: If an argument is wrong, or ``out`` holds another job.
        SoCoError: If the images or the data stop the job, or the model does
            not fit the detector.
    """
    for name, value, least in (
        ('epochs', epochs, 1),
        ('batch size', batch_size, 2),
        ('number of workers', workers, 0),
    ):
        if value is not None and value < least:
            raise UsageError(f'The {name} must be at least {least}, but is {value}.')
    out = Path(out)
    for key, argument, value in (
        ('train_cfg.max_epochs', '--epochs', epochs),
        ('train_dataloader.batch_size', '--batch-size', batch_size),
        ('train_dataloader.num_workers', '--workers', workers),
    ):
        if key in (options or {}) and value is not None:
            raise UsageError(
                f'{argument} and --cfg-options {key} set the same. Leave one out.'
            )
    if resume:
        begun = begun_arguments(
            out,
            dict(
                images=images,
                root=root,
                config=config,
                options=options,
                epochs=epochs,
                batch_size=batch_size,
                preset=preset,
                proposals=proposals,
                stretch=stretch,
                detector=detector,
                adapt=adapt,
                backbone_only=backbone_only,
            ),
        )
        (
            images,
            root,
            config,
            options,
            epochs,
            batch_size,
            preset,
            proposals,
            stretch,
            detector,
            adapt,
            backbone_only,
        ) = begun.values()
    if images is None:
        raise UsageError(
            'Name the folder of images'
            + (f': there is no run in {out} to resume.' if resume else '.')
        )
    config, preset, options = config or CONFIG, preset or PRESET, options or {}
    source = images
    images = list_input(source, root, [out])
    for note in images.notes:
        print(printable(note), flush=True)
    cfg = load_config(config, options, ARGUMENTS)
    stretch = choose_stretch(cfg, stretch, proposals)
    loader = cfg.train_dataloader
    if batch_size is None:
        batch_size = loader.batch_size
        if not isinstance(batch_size, int) or batch_size < 2:
            raise UsageError(
                'train_dataloader.batch_size must be a whole '
                f'number from 2, but is {batch_size!r}.'
            )
        if not (torch.cuda.is_available() or 'train_dataloader.batch_size' in options):
            batch_size = min(batch_size, CPU_BATCH_SIZE)
    if proposals is not None:
        check_proposals(proposals, images, stretch)
    if detector is not None:
        check_detector(cfg.model, detector, bool(adapt), bool(backbone_only), stretch)
    if 'max_epochs' not in cfg.train_cfg:
        raise UsageError(f'The config {config} does not count in epochs.')
    job = dict(
        images=describe_source(source),
        root=root and os.path.abspath(root),
        config=as_given(config),
        epochs=epochs or cfg.train_cfg.max_epochs,
        batch_size=batch_size,
        preset=preset,
        proposals=proposals and os.path.abspath(proposals),
        stretch=stretch and list(stretch),
        detector=detector and as_given(detector),
        adapt=bool(adapt),
        backbone_only=bool(backbone_only),
        options=written_options(options),
        settings=cfg.to_dict(),
    )
    trial = copy.deepcopy(cfg)
    if resume:  # from a checkpoint of its own
        trial.load_from = None
    trial.train_dataloader.batch_size = min(batch_size, len(images.paths))
    if job['epochs'] != cfg.train_cfg.max_epochs:
        set_epochs(trial, epochs, max(1, len(images.paths) // batch_size))
    with naming(options):
        try_pretraining(trial, images)
    claim(out, job, resume, overwrite)

    given = proposals is not None
    proposals = Path(proposals if given else out / 'proposals')
    if given or (proposals / HEADER).is_file():
        store = ProposalStore.open(proposals)
        print(
            f'Proposals: {proposals}, made before ({len(store)} images, '
            f'{store.header["num_boxes"]} boxes)',
            flush=True,
        )
    else:
        print(f'Making proposals for {len(images.paths)} images', flush=True)
        summary = make_proposals(
            images,
            proposals,
            build_settings(preset, stretch=stretch),
            num_workers=workers or None,
        )
        print(describe_proposals(summary), flush=True)
        store = ProposalStore.open(proposals)
    number = len(store)
    if number < 2:
        raise SoCoError(
            f'Only {number} image of {images.root} can be used; '
            'pretraining needs two or more.'
        )

    loader.dataset.data_root = images.root
    loader.dataset.proposals = os.path.abspath(proposals)
    loader.batch_size = min(batch_size, number)
    if workers is not None:
        loader.num_workers = workers
    elif 'train_dataloader.num_workers' not in options:
        loader.num_workers = len(os.sched_getaffinity(0))
    if 'train_dataloader.persistent_workers' not in options:
        loader.persistent_workers = loader.num_workers > 0
    if job['epochs'] != cfg.train_cfg.max_epochs:
        set_epochs(cfg, epochs, number // loader.batch_size)
    cfg.visualizer.save_dir = str(out)

    preview = draw_preview(cfg, out / 'preview.png')
    print(f'Proposals and views: {preview}', flush=True)
    last = latest_checkpoint(out)
    fresh = last is None or last.name != f'epoch_{job["epochs"]}.pth'
    if fresh:
        print(
            f'Pretraining {cfg.model.type} ({Path(config).stem}): {number} '
            f'images, batches of {loader.batch_size}, {job["epochs"]} epochs',
            flush=True,
        )
        last = train_model(cfg, out, resume=resume)

    exported = out / 'exported'
    if fresh or not (exported / REPORT).is_file():
        report = export_detector(
            cfg,
            last,
            exported,
            Path(images.root, store.path(0)),
            detector,
            bool(adapt),
            bool(backbone_only),
        )
        print(report.describe(), flush=True)
    return dict(
        proposals=proposals,
        preview=preview,
        checkpoint=last,
        weights=exported / WEIGHTS,
        detector=exported / exported_config(exported),
        report=exported / REPORT,
        scalars=out / 'vis_data' / 'scalars.json',
    )


def describe_source(images: ImageSource) -> str | list[str]:
    """The absolute path of a folder or file of images, or of several."""
    if isinstance(images, (str, Path)):
        return os.path.abspath(images)
    paths = [os.path.abspath(each) for each in images]
    return paths if len(paths) > 1 else paths[0]


def as_given(name: str | Path) -> str:
    """A config as a job notes it: a path as a whole, a name as it is."""
    return os.path.abspath(name) if os.path.isfile(name) else str(name)


def check_proposals(
    proposals: str | Path, images: ImageSet, stretch: tuple[float, float] | None = None
) -> None:
    """Refuse proposals of other images.

    Args:
        proposals (str | Path): The proposals.
        images (ImageSet): The images to train on.
        stretch (tuple, optional): How those of more than 8 bits are reduced.
            Defaults to None, their upper 8 bits are used.

    Raises:
        SoCoError: If they cannot be read, or an image has a size that its
            boxes cannot be scaled to.
        UsageError: If none of these has proposals, or one that has is there
            but not among these.
    """
    store = ProposalStore.open(proposals)
    given = set(images.paths)
    others = [path for path in store if path not in given]
    # Some may have been deleted since, but none is trained on unasked.
    there = [path for path in others if Path(images.root, path).is_file()]
    if there or len(others) == len(store):
        raise UsageError(
            f'The proposals in {proposals} are of other images: '
            f'{printable((there or others)[0])} is not in the {len(given)} '
            f'images given, of {images.root}. Name the images that they were '
            'made of.'
        )
    if others:
        print(
            f'{len(others)} of {len(store)} images of {proposals} are missing '
            f'in {images.root}, for example {printable(others[0])}; others '
            'take their place',
            flush=True,
        )
    if lacking := len(given) + len(others) - len(store):
        print(
            f'{lacking} of {len(given)} images have no proposals in '
            f'{proposals} and are not trained on',
            flush=True,
        )
    check_pixels(store, images.root)  # the training says what it returns
    warn_of_depth(images.root, list(store), stretch)
