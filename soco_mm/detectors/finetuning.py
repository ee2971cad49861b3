"""A fine-tuning: its arguments and its plan."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

from soco_mm.coco import Annotations, write_annotations
from soco_mm.engine import unwrap_model
from soco_mm.engine.checkpoint_files import latest_checkpoint
from soco_mm.engine.config import set_options
from soco_mm.engine.initial_weights import match_initial_weights
from soco_mm.engine.trial import naming, quiet
from soco_mm.job import resumed_arguments, written_options
from soco_mm.log import logger
from soco_mm.utils import UsageError
from soco_mm.visualization import write_png

from .data import check_pixels, hash_of, read_data, short_hash
from .features import frozen_notes
from .finetune_config import choose_epochs, finetune_config
from .fit import exported_config
from .pictures import draw_annotations
from .pipelines import trains_masks
from .pretraining_model import loads_weights
from .stretching import detector_stretch
from .summary import describe_account, describe_finetuning
from .training import check_weights
from .trial import try_finetuning

BATCH_SIZE = 4
ANNOTATIONS = 'annotations'
DRAWN = 'annotated.png'
# Keys from which a config is computed, so that they cannot be set afterwards.
ARGUMENTS = {
    'train_dataloader.batch_size': '--batch-size',
    'train_cfg.max_epochs': '--epochs',
    'randomness.seed': '--seed',
    'work_dir': '--out',
    'visualizer.save_dir': '--out',
    'resume': '--resume',
    'launcher': "MMDetection's own tools/dist_train.sh",
}


@dataclass(frozen=True)
class FinetuneArguments:
    """The arguments of a fine-tuning; None for those not given.

    Attributes are those of :func:`soco_mm.apis.finetune.finetune`.
    """

    exported: str | Path | None
    train: str | Path | None
    images: str | Path | None = None
    val: str | Path | None = None
    val_images: str | Path | None = None
    epochs: int | None = None
    batch_size: int | None = None
    scale: tuple | None = None
    scratch: bool | None = None
    classes: Sequence[str] | None = None
    seed: int | None = None
    options: dict | None = None

    def complete(self, out: Path, resume: bool, workers: int) -> 'FinetuneArguments':
        """Fill in arguments that were not given, and refuse what would fail later.

        Args:
            out (Path): The folder of the run.
            resume (bool): Whether it is continued: then with the arguments it
                was started with, else with defaults.
            workers (int): Processes that load images.

        Returns:
            FinetuneArguments: The arguments.

        Raises:
            UsageError: If there is no detector or no data, or an argument is
                wrong.
        """
        given = vars(self)
        if resume:
            given = resumed_arguments(out, given)
        if given['exported'] is None or given['train'] is None:
            nothing = f': there is no run in {out} to resume.' if resume else '.'
            raise UsageError(
                f'Give the folder of the exported detector and --data{nothing}'
            )
        given = dict(
            given,
            scratch=bool(given['scratch']),
            seed=given['seed'] or 0,
            options=given['options'] or {},
        )
        check_arguments(given['seed'], workers, given['options'])
        return replace(self, **given)


@dataclass
class FinetunePlan:
    """A fine-tuning before anything is written.

    Attributes:
        arguments (FinetuneArguments): Its arguments, completed.
        out (Path): The folder of the run.
        detector (Path): The detector's config.
        sources (dict[str, Annotations]): ``train`` and ``val`` as they were
            read.
        cfg (Config): The config of the training.
    """

    arguments: FinetuneArguments
    out: Path
    detector: Path
    sources: dict[str, Annotations]
    cfg: Config

    @classmethod
    def make(
        cls, arguments: FinetuneArguments, out: Path, workers: int, resume: bool = False
    ) -> 'FinetunePlan':
        """Read annotations and config, and build the training once.

        Args:
            arguments (FinetuneArguments): Its arguments, completed.
            out (Path): The folder of the run.
            workers (int): Processes that load images.
            resume (bool): Whether a run in it continues. Defaults to False.

        Raises:
            UsageError: If annotations or an option are wrong.
            SoCoError: If the data cannot be used, or the weights do not fit.
        """
        given = arguments
        detector = config_of(given.exported)
        sources = read_data(
            given.train,
            given.images,
            given.val,
            given.val_images,
            given.classes,
            trains_masks(detector),
        )
        train, val = copies_in(out, sources)
        number = len(train.boxes)
        cfg = finetune_config(
            detector,
            train,
            val,
            given.epochs or choose_epochs(number),
            min(given.batch_size or BATCH_SIZE, number),
            scale=given.scale,
            num_workers=workers,
            seed=given.seed,
        )
        if given.scratch:
            cfg.load_from = None
            drop_pretrained(cfg.model)
        set_options(cfg, given.options, ARGUMENTS)
        check_pixels(sources, detector_stretch(cfg))
        with naming(given.options):
            model = unwrap_model(try_finetuning(cfg, train, val).model)
        if cfg.load_from:
            check_weights(model, cfg.load_from)
        elif given.scratch and (notes := frozen_notes(model)):
            raise UsageError(
                f'--scratch: {detector} would freeze random weights '
                f'({notes[0].partition("(")[2].partition(")")[0]}). Export the '
                'checkpoint with --adapt, and compare with the detector of that.'
            )
        if not (resume and latest_checkpoint(out)):
            # Of parts that the export does not fill.
            with naming(given.options), quiet():
                match_initial_weights(dict(cfg.to_dict(), load_from=None), model)
        cfg.work_dir = cfg.visualizer.save_dir = str(out)
        return cls(arguments, out, detector, sources, cfg)

    @property
    def copies(self) -> tuple[Annotations, Annotations]:
        """Completed copies of ``train`` and ``val``, which training reads."""
        return copies_in(self.out, self.sources)

    def job(self) -> dict:
        """What the run depends on, as plain data, see :func:`claim_run`."""
        given, cfg = self.arguments, self.cfg
        train, val = self.sources['train'], self.sources['val']
        return dict(
            exported=str(self.detector.parent),
            train=os.path.abspath(train.path),
            images=os.path.abspath(train.root),
            val=os.path.abspath(val.path),
            val_images=os.path.abspath(val.root),
            epochs=cfg.train_cfg.max_epochs,
            batch_size=cfg.train_dataloader.batch_size,
            scale=given.scale and list(given.scale),
            scratch=given.scratch,
            classes=given.classes and list(given.classes),
            seed=given.seed,
            options=written_options(given.options),
            given={
                name: (path := getattr(given, name)) and os.path.abspath(path)
                for name in ('train', 'images', 'val', 'val_images')
            },
            contents_of_train=hash_of(train),
            contents_of_val=hash_of(val),
            contents_of_weights=cfg.load_from and short_hash(cfg.load_from),
        )

    def write_data(self) -> None:
        """Write the copies and their picture, and log what is in them."""
        train, val = self.copies
        write_annotations(train, empty=False)
        write_annotations(val)
        drawn = self.out / ANNOTATIONS / DRAWN
        write_png(drawn, draw_annotations(train, val, detector_stretch(self.cfg)))
        logger.info(describe_finetuning(self.cfg, train, val))
        for name, each in self.sources.items():
            logger.info('\n'.join(describe_account(name, each, drawn)))


def copies_in(
    out: Path, sources: dict[str, Annotations]
) -> tuple[Annotations, Annotations]:
    """``train`` and ``val`` as they are copied into the folder of a run."""
    train, val = (
        replace(each, path=out / ANNOTATIONS / f'{name}.json')
        for name, each in sources.items()
    )
    return train, val


def check_arguments(seed: int, workers: int, options: dict) -> None:
    """Refuse arguments that would fail later, or set only a part of something.

    Raises:
        UsageError: If there is one.
    """
    for key in options:
        if 'metainfo' in key.split('.'):
            raise UsageError(
                f'--cfg-options cannot set {key}: the classes of '
                'both files, the heads and the evaluation go '
                'together. Choose them with --classes.'
            )
    # NumPy's seeds are below 2**32, and each worker takes the next one.
    limit = 2**32 - workers
    if seed >= limit:
        raise UsageError(f'--seed is {seed}. Choose one below {limit}.')


def config_of(exported: str | Path) -> Path:
    """The detector's config in an exported folder.

    Raises:
        UsageError: If there is none.
    """
    name = exported_config(exported)
    config = Path(exported, name)
    if not name or not config.is_file():
        raise UsageError(
            f'{exported} is not a folder that soco-mm export has '
            'written. Export a checkpoint first: soco-mm export '
            'CHECKPOINT --out FOLDER.'
        )
    return config.resolve()


def drop_pretrained(value: Any) -> None:
    """Let all parts of a model start from random weights, in place.

    Args:
        value (Any): The ``model`` of a config, or a part of it.
    """
    if isinstance(value, (list, tuple)):
        for each in value:
            drop_pretrained(each)
    if not isinstance(value, dict):
        return
    for key, each in value.items():
        if key == 'pretrained' or (key == 'init_cfg' and loads_weights(each)):
            value[key] = None
        else:
            drop_pretrained(each)
