"""A pretraining on a folder of images: its arguments and its plan."""

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
from mmengine.config import Config

from soco_mm.checkpoint.handed_over import trainable_parts
from soco_mm.checkpoint.provenance import PROVENANCE
from soco_mm.datasets.stretching import choose_stretch
from soco_mm.errors import did_you_mean
from soco_mm.job import read_job, resumed_arguments, written_options
from soco_mm.log import logger
from soco_mm.proposals import ProposalStore, build_settings, make_proposals
from soco_mm.proposals.fitting import explain_fit, fit_settings
from soco_mm.proposals.layout import HEADER
from soco_mm.proposals.listing import ImageSet, ImageSource, list_input
from soco_mm.utils import SoCoError, UsageError, file_hash
from soco_mm.utils.cores import loading_workers
from soco_mm.utils.durations import read_duration
from soco_mm.utils.files import read_dict
from soco_mm.utils.stretch import Stretch
from soco_mm.utils.texts import printable

from .batch_scaling import set_batch
from .checkpoint_files import EPOCH, ITERATION, latest_checkpoint
from .config import load_config, set_options
from .init_weights import resume_images, take_over_images
from .initial_weights import check_frozen
from .loops import accumulation_of, check_length
from .precision import set_precision
from .recipe_choice import CONFIG, choose_recipe
from .schedules import set_epochs
from .trial import try_pretraining

PRESET = 'paper'
# R50 at the paper's views takes 0.4 GB per image.
CPU_BATCH_SIZE = 16
# The argument that sets the same as a key of the config.
SET_BY = {
    'train_cfg.max_epochs': 'epochs',
    'train_cfg.max_steps': 'epochs',
    'model.frozen_parts': 'train',
    'train_dataloader.batch_size': 'batch_size',
    'train_dataloader.num_workers': 'workers',
    'optim_wrapper.accumulative_counts': 'accumulate',
    'auto_scale_lr.enable': 'auto_scale',
    'auto_scale_lr.momentum': 'auto_scale',
    'optim_wrapper.type': 'precision',
    'optim_wrapper.dtype': 'precision',
    'optim_wrapper.loss_scale': 'precision',
    'default_hooks.checkpoint.every': 'checkpoint_every',
}
SEVERAL = ('auto_scale', 'precision')  # of these keys each
# Shows at the end whether the training helped.
MEASURE = 'ObjectMetricsHook'
# What the job sets itself, and the argument that sets it.
ARGUMENTS = {
    'train_dataloader.dataset.data_root': 'IMAGES',
    'train_dataloader.dataset.proposals': '--proposals',
    'work_dir': '--out',
    'visualizer.save_dir': '--out',
    'resume': '--resume',
    'init_weights': '--init',
    'launcher': 'tools/dist_train.sh',
}


@dataclass(frozen=True)
class PretrainArguments:
    """The arguments of a pretraining; None for those not given.

    Attributes are those of :func:`soco_mm.apis.pretrain.pretrain`; computed are
    ``init_sha256`` and ``base``, the recipe around a detector's own model.
    """

    images: ImageSource | None
    root: str | Path | None = None
    config: str | Path | None = None
    options: dict | None = None
    epochs: int | None = None
    batch_size: int | None = None
    accumulate: int | None = None
    auto_scale: bool | None = None
    precision: str | None = None
    checkpoint_every: str | float | None = None
    preset: str | None = None
    ann: str | Path | None = None
    proposals: str | Path | None = None
    stretch: Sequence[float] | None = None
    detector: str | Path | None = None
    adapt: bool | None = None
    backbone_only: bool | None = None
    parts: str | Sequence[str] | None = None
    train: str | Sequence[str] | None = None
    init: str | Path | None = None
    init_partial: bool | None = None
    init_licence: str | None = None
    init_sha256: str | None = None
    base: str | None = None

    @classmethod
    def of(cls, values: dict) -> 'PretrainArguments':
        """Pick them out of what a function was called with, by name."""
        names = [each.name for each in fields(cls)]
        return cls(**{name: values[name] for name in names if name in values})

    def check(self, workers: int | None) -> None:
        """Refuse numbers that are too small, missing files, and what is set twice.

        Args:
            workers (int, optional): Number of processes.

        Raises:
            UsageError: If there are any.
        """
        for name, value, least in (
            ('epochs', self.epochs, 1),
            ('batch size', self.batch_size, 2),
            ('number of accumulated batches', self.accumulate, 1),
            ('number of workers', workers, 0),
        ):
            if value is not None and value < least:
                raise UsageError(
                    f'The {name} must be at least {least}, but is {value}.'
                )
        if self.checkpoint_every is not None:
            read_duration(self.checkpoint_every)
        if self.ann is not None and not Path(self.ann).exists():
            raise UsageError(f'There are no annotations {self.ann} (--ann).')
        if self.init is None and (self.init_partial or self.init_licence):
            raise UsageError(
                '--init-partial and --init-licence are for weights to start from: add '
                '--init WEIGHTS, or leave them out.'
            )
        if self.proposals is not None and self.preset is not None:
            raise UsageError(
                '--preset is for making proposals. Leave it out with --proposals.'
            )
        values = {**vars(self), 'workers': workers}
        for key, name in SET_BY.items():
            if key in (self.options or {}) and values[name] is not None:
                raise UsageError(
                    f'{flag_of(name)} and --cfg-options {key} set the same. Give '
                    'only one.'
                )

    def complete(self, out: Path, resume: bool) -> 'PretrainArguments':
        """Fill in the arguments that were not given.

        Args:
            out (Path): The folder of the run.
            resume (bool): Whether it is continued: then with the arguments it
                was started with, else with defaults.

        Returns:
            PretrainArguments: The arguments.

        Raises:
            UsageError: If there are no images.
        """
        given = dict(vars(self))
        if self.init is not None:
            given['init_sha256'] = hash_weights(self.init)
        if resume:
            given = resumed_arguments(out, given)
            for key in self.options or {}:  # go before what the run was started with
                name = SET_BY.get(key)
                if name in SEVERAL and given[name] is not None:
                    raise UsageError(
                        f'{out} was started with {flag_of(name)}, which sets '
                        f'{key} too and cannot be replaced in part. Leave {key} out.'
                    )
                if name in given:
                    given[name] = None
        if given['images'] is None:
            nothing = f': there is no run in {out} to resume.' if resume else '.'
            raise UsageError(f'Give the folder of images{nothing}')
        return replace(
            self,
            **dict(
                given,
                # A detector's own recipe has no name; weights to start from
                # choose one, see :meth:`PretrainPlan.make`.
                config=given['config']
                or (None if detectors_own(given) or given['init'] else CONFIG),
                preset=given['preset'] or PRESET,
                options=given['options'] or {},
                adapt=bool(given['adapt']),
                backbone_only=bool(given['backbone_only']),
                init_partial=bool(given['init_partial']),
            ),
        )


def flag_of(name: str) -> str:
    """The flag of an argument."""
    return f'--{name.replace("_", "-")}'


def detectors_own(arguments: Mapping) -> bool:
    """Whether the model is that of the detector, which no config replaces.

    Args:
        arguments (Mapping): The arguments of a pretraining, by name.
    """
    return (
        arguments['detector'] is not None
        and arguments['config'] is None
        and not arguments['backbone_only']
    )


@dataclass
class PretrainPlan:
    """A pretraining before anything is written.

    Attributes:
        arguments (PretrainArguments): Its arguments, completed.
        out (Path): The folder of the run.
        cfg (Config): The config of the training.
        images (ImageSet): The images.
        stretch (tuple, optional): How images of more than 8 bits are reduced.
        batch_size (int): Images of an iteration, before there are fewer images.
        epochs (int, optional): Length of the training; None if it counts in steps.
        settings (dict, optional): Those of the proposals; None if they exist.
        init_as_model (bool): The weights to start from are those that the config
            of the detector names. Defaults to False.
    """

    arguments: PretrainArguments
    out: Path
    cfg: Config
    images: ImageSet
    stretch: Stretch
    batch_size: int
    epochs: int | None
    settings: dict | None
    init_as_model: bool = False

    @classmethod
    def make(
        cls,
        arguments: PretrainArguments,
        out: Path,
        recipe: Callable[[str | Path], Config] | None = None,
        overwrite: bool = False,
    ) -> 'PretrainPlan':
        """List the images and read the config.

        Args:
            arguments (PretrainArguments): The arguments, completed.
            out (Path): The folder of the run.
            recipe (Callable, optional): Makes the recipe of a detector around
                the one it is given by name. Defaults to None, the recipe is
                ``arguments.config``.
            overwrite (bool): Proposals in ``out`` will be deleted. Defaults to
                False.

        Raises:
            UsageError: If there are no images, or the config or an option is
                wrong.
            SoCoError: If the proposals or annotations cannot be used.
        """
        images = list_input(arguments.images, arguments.root, [out])
        for note in images.notes:
            logger.info(printable(note))
        options = arguments.options
        chosen = arguments.config or arguments.base
        if chosen is None:
            chosen = choose_recipe(
                arguments.init, len(images.paths), any_backbone=recipe is not None
            )
        if recipe is None:
            arguments = replace(arguments, config=chosen)
            cfg = load_config(chosen, options, ARGUMENTS)
        else:
            arguments = replace(arguments, base=str(chosen))
            set_options(cfg := recipe(chosen), options, ARGUMENTS)
        set_batch(cfg, arguments.auto_scale, arguments.accumulate)
        set_precision(cfg, arguments.precision)
        if arguments.checkpoint_every is not None:
            cfg.default_hooks.checkpoint.every = arguments.checkpoint_every
        stretch = choose_stretch(cfg, arguments.stretch, arguments.proposals)
        batch_size = arguments.batch_size
        if batch_size is None:
            batch_size = choose_batch_size(cfg, options)
        check_length(cfg)
        if arguments.train is not None:
            cfg.model.frozen_parts = frozen_parts(cfg.model, arguments.train)
        epochs = arguments.epochs or cfg.train_cfg.get('max_epochs')
        settings = None
        there = (out / 'proposals' / HEADER).is_file() and not overwrite
        if arguments.proposals is None and not there:
            settings = choose_settings(arguments, images, stretch)
        return cls(arguments, out, cfg, images, stretch, batch_size, epochs, settings)

    def job(self) -> dict:
        """What the run depends on, as plain data, see :func:`claim_run`."""
        given = self.arguments
        return dict(
            asdict(given),
            images=absolute(given.images),
            root=given.root and os.path.abspath(given.root),
            config=given.config and as_given(given.config),
            ann=given.ann and os.path.abspath(given.ann),
            epochs=self.epochs,
            batch_size=self.batch_size,
            proposals=given.proposals and os.path.abspath(given.proposals),
            stretch=self.stretch and list(self.stretch),
            detector=given.detector and as_given(given.detector),
            init=given.init and os.path.abspath(given.init),
            options=written_options(given.options),
            settings=self.cfg.to_dict(),
        )

    def start(self, resume: bool) -> None:
        """Set what the training starts from, and how its images are normalised.

        Args:
            resume (bool): Whether it continues; if it has begun, the weights
                are not read again.

        Raises:
            SoCoError: If the weights cannot be read.
        """
        given = self.arguments
        if given.init is not None:
            self.cfg.init_weights = dict(
                checkpoint=os.path.abspath(given.init),
                partial=given.init_partial,
                licence=given.init_licence,
            )
            there = read_job(self.out) if resume else None
            started = (there or {}).get('settings', {}).get('init_weights')
            as_model = self.init_as_model
            if isinstance(started, Mapping):  # it stays as it was
                as_model = started.get('as_model', False)
            if as_model:
                self.cfg.init_weights.as_model = True
        latest = latest_checkpoint(self.out) if resume else None
        if latest is not None:
            resume_images(self.cfg, latest)
        elif note := take_over_images(self.cfg):
            logger.info(note)

    def try_out(self, resume: bool) -> None:
        """Build the training and load an image, before anything is written.

        Args:
            resume (bool): Whether it continues from its own checkpoint.

        Raises:
            SoCoError: If something cannot be built, or an image cannot be made
                into views.
        """
        trial, number = copy.deepcopy(self.cfg), len(self.images.paths)
        if number < 2:
            raise UsageError(
                f'There is only {number} image in {self.images.root}; pretraining '
                'needs two or more.'
            )
        if resume and latest_checkpoint(self.out):
            trial.update(load_from=None, init_weights=None)
        if not resume:
            check_frozen(self.cfg)
        batch = self.images_per_iteration(number)
        if not batch:
            accumulated = accumulation_of(trial.optim_wrapper)
            raise UsageError(
                f'--accumulate {accumulated} needs as many images, but there are only '
                f'{number}. Set a smaller one.'
            )
        if resume and latest_checkpoint(self.out):
            self.check_step(number)
        trial.train_dataloader.batch_size = batch
        if self.epochs != trial.train_cfg.get('max_epochs'):
            set_epochs(trial, self.epochs, self.iterations(batch, number))
        try_pretraining(trial, self.images, self.arguments.options)

    def check_step(self, images: int) -> None:
        """Refuse to resume with steps of another size where these are counted.

        Half of so many steps would be another place of the data, and of the schedule.

        Args:
            images (int): Number of images.

        Raises:
            UsageError: If steps have another number of images than in the run.
        """
        there = read_job(self.out)
        if there is None or self.epochs is not None:
            return
        steps = there['settings']['train_cfg'].get('max_steps')
        if steps != self.cfg.train_cfg.max_steps:  # another length for other steps
            return
        accumulated = accumulation_of(there['settings']['optim_wrapper'])
        before = min(there['batch_size'], images // accumulated) * accumulated
        accumulated = accumulation_of(self.cfg.optim_wrapper)
        if before == self.images_per_iteration(images) * accumulated:
            return
        raise UsageError(
            f'{self.out} was trained with {before} images per step, and its schedule '
            'counts steps. Resume it with --batch-size times --accumulate = '
            f'{before}.'
        )

    def check_proposals(self, store: ProposalStore) -> None:
        """Refuse to resume with other proposals than those of the run.

        Raises:
            UsageError: If they were made again.
        """
        if not latest_checkpoint(self.out):
            return
        before = read_dict(self.out / PROVENANCE).get('proposals') or {}
        if before.get('sha256', store.header['hash']) != store.header['hash']:
            raise UsageError(
                f'{store.folder} was made again after {self.out} was begun with it. '
                'Put the proposals of the run back, or start again with --overwrite.'
            )

    def get_proposals(self, workers: int | None) -> ProposalStore:
        """Open existing proposals, or make them.

        Args:
            workers (int, optional): Number of processes; None for one per
                core.

        Raises:
            SoCoError: If fewer than two images can be used.
        """
        given = self.arguments.proposals
        folder = Path(self.out / 'proposals' if given is None else given)
        if given is not None or (folder / HEADER).is_file():
            store = ProposalStore.open(folder)
            self.check_proposals(store)
            as_is = ', taken as they are: --ann only measures' * bool(
                given and self.arguments.ann
            )
            logger.info(
                f'Proposals: {folder}, made before ({len(store)} images, '
                f'{store.header["num_boxes"]} boxes){as_is}'
            )
        else:
            logger.info(f'Making proposals for {len(self.images.paths)} images')
            for line in explain_fit(self.settings):
                logger.info(printable(line))
            summary = make_proposals(
                self.images,
                folder,
                settings=self.settings,
                num_workers=workers or None,
            )
            logger.info(summary.describe())
            store = ProposalStore.open(folder)
        if len(store) < 2:
            raise SoCoError(
                f'Only {len(store)} image in {self.images.root} can be used; '
                'pretraining needs two or more.'
            )
        return store

    def use(self, store: ProposalStore, workers: int | None) -> None:
        """Set the data, their loaders and the length of the training.

        Args:
            store (ProposalStore): The proposals.
            workers (int, optional): Processes that load images; None as the
                options say, else one per core, 16 at most.
        """
        loader, options = self.cfg.train_dataloader, self.arguments.options
        loader.dataset.data_root = self.images.root
        loader.dataset.proposals = os.path.abspath(store.folder)
        # With too few readable images the training says so.
        loader.batch_size = self.images_per_iteration(len(store)) or 1
        if workers is not None:
            loader.num_workers = workers
        elif 'train_dataloader.num_workers' not in options:
            loader.num_workers = loading_workers()
        if 'train_dataloader.persistent_workers' not in options:
            loader.persistent_workers = loader.num_workers > 0
        if self.epochs != self.cfg.train_cfg.get('max_epochs'):
            iterations = self.iterations(loader.batch_size, len(store))
            set_epochs(self.cfg, self.epochs, iterations)
        self.cfg.visualizer.save_dir = str(self.out)
        hooks = self.cfg.get('custom_hooks') or []
        if all(each.get('type') != MEASURE for each in hooks):
            ann = self.arguments.ann and os.path.abspath(self.arguments.ann)
            self.cfg.custom_hooks = [*hooks, dict(type=MEASURE, ann=ann)]

    def images_per_iteration(self, images: int) -> int:
        """The batch size, with which a step takes no more images than there are."""
        return min(self.batch_size, images // accumulation_of(self.cfg.optim_wrapper))

    def iterations(self, batch_size: int, images: int) -> int:
        """Iterations of an epoch, at least one; whole steps of the optimiser."""
        accumulated = accumulation_of(self.cfg.optim_wrapper)
        return max(1, images // (batch_size * accumulated) * accumulated)

    def last_name(self, store: ProposalStore) -> str:
        """The name of the last checkpoint, see :class:`AtomicCheckpointHook`."""
        if self.epochs is not None:
            return EPOCH.format(self.epochs)
        accumulated = accumulation_of(self.cfg.optim_wrapper)
        total = self.cfg.train_cfg.max_steps * accumulated
        batch_size = self.cfg.train_dataloader.batch_size
        epochs, rest = divmod(total, self.iterations(batch_size, len(store)))
        return ITERATION.format(total) if rest else EPOCH.format(epochs)

    def describe(self, store: ProposalStore) -> str:
        """What is trained, as one line."""
        cfg = self.cfg
        frozen = cfg.model.get('frozen_parts')
        kept = f'; frozen: {", ".join(frozen)}' if frozen else ''
        accumulated = accumulation_of(cfg.optim_wrapper)
        every = f', {accumulated} batches a step' * (accumulated > 1)
        length = f'{self.epochs} epoch{"s" * (self.epochs != 1)}'
        if self.epochs is None:
            length = f'{cfg.train_cfg.max_steps} steps'
        return (
            f'Pretraining {cfg.model.type} ({Path(cfg.filename).stem}): {len(store)} '
            f'images, batches of {cfg.train_dataloader.batch_size}{every}, '
            f'{length}{kept}'
        )


def choose_settings(
    arguments: PretrainArguments, images: ImageSet, stretch: Stretch
) -> dict:
    """Settings of proposals: those of the preset, fitted to annotations if given.

    Raises:
        UsageError: If there is no such preset, or no annotated object.
        SoCoError: If the annotated boxes are not in pixels.
    """
    preset = arguments.preset or PRESET
    if arguments.ann is None:
        return build_settings(preset, stretch=stretch)
    return fit_settings(arguments.ann, images, preset, stretch=stretch)


def frozen_parts(model: Config, train: str | Sequence[str]) -> tuple[str, ...]:
    """The parts of a model that stay as they are if others are trained.

    Args:
        model (Config): The ``model`` of the config.
        train (str | Sequence[str]): Those that are trained, of ``backbone``,
            ``neck`` and ``head``; in a text they are separated by commas.

    Returns:
        tuple: Names for ``frozen_parts`` of :class:`soco_mm.models.SoCo`.

    Raises:
        UsageError: If a name is unknown, or the model does not have the part.

    Example:
        >>> from soco_mm.engine.pretraining import frozen_parts
        >>> frozen_parts(dict(neck=dict(type='FPN')), 'neck,head')
        ('backbone',)
    """
    names = train.split(',') if isinstance(train, str) else train
    names = [str(name).strip() for name in names]
    parts = trainable_parts(model)
    for name in names:
        if name not in parts:
            raise UsageError(
                f'--train: the model has no part {name!r}.{did_you_mean(name, parts)} '
                f'Choose from {", ".join(parts)}, separated by commas.'
            )
    if not names:
        raise UsageError(f'--train names no part. Choose from {", ".join(parts)}.')
    return tuple(part for name, part in parts.items() if name not in names)


def hash_weights(path: str | Path) -> str:
    """SHA-256 of weights to start from.

    Raises:
        UsageError: If there is no such file.
    """
    if Path(path).is_dir():
        raise UsageError(f'--init {path} is a folder. Give a file of weights in it.')
    if not Path(path).is_file():
        hint = ' URLs are not read: download it first.' * ('://' in str(path))
        raise UsageError(
            f'There is no file {path} of weights to start from (--init).{hint}'
        )
    return file_hash(path)


def choose_batch_size(cfg: Config, options: dict) -> int:
    """Images of an iteration if the arguments do not say.

    Args:
        cfg (Config): The config of the training.
        options (dict): The values that were set in it.

    Returns:
        int: As the config says; on a CPU at most 16, unless it was set or the
        recipe counts in steps.

    Raises:
        UsageError: If the config has no such number.
    """
    batch_size = cfg.train_dataloader.batch_size
    if not isinstance(batch_size, int) or batch_size < 2:
        raise UsageError(
            'train_dataloader.batch_size must be a whole '
            f'number from 2, but is {batch_size!r}.'
        )
    if torch.cuda.is_available() or 'train_dataloader.batch_size' in options:
        return batch_size
    if 'max_steps' in cfg.train_cfg:
        return batch_size
    return min(batch_size, CPU_BATCH_SIZE)


def absolute(images: ImageSource) -> str | list[str]:
    """The absolute path of a folder or file of images, or of several."""
    if isinstance(images, (str, Path)):
        return os.path.abspath(images)
    paths = [os.path.abspath(each) for each in images]
    return paths if len(paths) > 1 else paths[0]


def as_given(name: str | Path) -> str:
    """A config as a job records it: the absolute path, or the name as it is."""
    return os.path.abspath(name) if os.path.isfile(name) else str(name)
