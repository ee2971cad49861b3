"""``init_weights`` of a config: weights of any library to start from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.hooks import Hook
from torch import nn

from soco_mm.checkpoint import read_checkpoint
from soco_mm.checkpoint.initial import (
    InitialWeights,
    match_weights,
    refuse_partial,
    refuse_random,
)
from soco_mm.checkpoint.libraries import pixel_statistics
from soco_mm.checkpoint.model_config import read_model
from soco_mm.checkpoint.origin import SILENT, Origin
from soco_mm.checkpoint.provenance import PROVENANCE
from soco_mm.checkpoint.weights_file import WeightsFile, read_weights
from soco_mm.utils import SoCoError, UsageError, atomic_write, file_hash, read_json
from soco_mm.utils.class_names import class_name

from .norms import refuse_other_norms
from .runtime import unwrap_model

INIT = 'init.json'  # in the folder of a run
KEYS = ('checkpoint', 'partial', 'licence', 'as_model')
# Differences of mean and deviation that are only rounding.
TOLERANCE = 0.5


@dataclass(frozen=True)
class InitChoice:
    """The value of ``init_weights`` in a config.

    Attributes:
        checkpoint (str): The file, of any kind that :func:`read_weights` knows.
        partial (bool): Accept weights that do not fill the whole backbone.
            Defaults to False.
        licence (str, optional): Their licence, for the record. Defaults to
            None.
        as_model (bool): Where the file says nothing of its model's images and
            strides, they are those of this one. Defaults to False.
    """

    checkpoint: str
    partial: bool = False
    licence: str | None = None
    as_model: bool = False

    @classmethod
    def of(cls, cfg: Config) -> 'InitChoice | None':
        """Read it from a config, None without one.

        Args:
            cfg (Config): A config; ``init_weights`` is a path or a dictionary
                of what is above.

        Raises:
            UsageError: If it has another form, or ``load_from`` is set too.
        """
        given = cfg.get('init_weights')
        if not given:
            return None
        if isinstance(given, (str, Path)):
            given = dict(checkpoint=str(given))
        if not isinstance(given, Mapping) or not given.get('checkpoint'):
            raise UsageError(
                'init_weights must be the path of a file, or dict(checkpoint=..., '
                f'partial=False, licence=None, as_model=False), but is {given!r}.'
            )
        if unknown := [key for key in given if key not in KEYS]:
            raise UsageError(
                f'init_weights has no {unknown[0]}, only {", ".join(KEYS)}.'
            )
        if cfg.get('load_from'):
            raise UsageError(
                f'The training would start from both {given["checkpoint"]} '
                f'(--init, init_weights) and {cfg.load_from} (load_from). '
                'Give only one.'
            )
        return cls(**given)


def take_over_images(cfg: Config) -> str | None:
    """Let a model normalise images as that of its initial weights.

    Args:
        cfg (Config): The config of a training; its ``model.data_preprocessor``
            is changed in place.

    Returns:
        str, optional: What was changed, one sentence.

    Raises:
        UsageError: If there is no such file, or ``init_weights`` is wrong.
        SoCoError: If it cannot be read, or the model's data preprocessor has
            no mean and deviation.
    """
    choice = InitChoice.of(cfg)
    if choice is None:
        return None
    origin = origin_of(read_weights(choice.checkpoint), cfg, choice)
    return set_images(cfg, origin.mean, origin.std, choice.checkpoint)


def origin_of(file: WeightsFile, cfg: Config, choice: InitChoice) -> Origin:
    """What the model of some weights was, see :class:`InitChoice`."""
    found = Origin.of(file)
    if choice.as_model and found.reason == SILENT:
        return Origin.of_model(cfg.model)
    return found


def set_images(cfg: Config, mean, std, source: str) -> str | None:
    """Set mean and deviation of a config's images, red first."""
    before = pixel_statistics(cfg.model)
    order = 1 if before['bgr_to_rgb'] else -1  # the model's own
    wanted = dict(mean=list(mean)[::order], std=list(std)[::order])
    if all(
        abs(ours - theirs) < TOLERANCE
        for key in wanted
        for ours, theirs in zip(before[key], wanted[key])
    ):
        return None
    given = cfg.model.get('data_preprocessor') or dict(
        type='soco_mm.ViewDataPreprocessor'
    )
    if not class_name(given).endswith('ViewDataPreprocessor'):
        raise SoCoError(
            f'{source} is of a model whose images have the mean {wanted["mean"]} and '
            f'the deviation {wanted["std"]}, which model.data_preprocessor, '
            f'{given.get("type")}, does not take over. Set them there.'
        )
    cfg.model.data_preprocessor = dict(given, **wanted)
    return (
        f'Images are normalised as for {source}: mean {wanted["mean"]}, '
        f'std {wanted["std"]}, not {before["mean"]} and {before["std"]}.'
    )


def resume_images(cfg: Config, checkpoint: str | Path) -> None:
    """Let a model that is resumed normalise images as it did from the start.

    Its initial weights are not read again.

    Args:
        cfg (Config): The config; changed in place.
        checkpoint (str | Path): What it continues from. The record of the weights in
            the folder of its run says how; without one, as in a folder that the
            checkpoint was copied to, the config in the checkpoint does.

    Raises:
        SoCoError: If the checkpoint cannot be read.
    """
    if not cfg.get('init_weights'):
        return
    path = Path(checkpoint).parent.parent / INIT
    if path.is_file():
        known = read_json(path)['normalisation']
        set_images(cfg, known['mean'], known['std'], str(path))
        return
    model = read_model(read_checkpoint(checkpoint)) or {}
    known = model.get('data_preprocessor') or {}
    if 'mean' in known and 'std' in known:
        order = 1 if pixel_statistics(cfg.model)['bgr_to_rgb'] else -1
        mean, std = (list(known[key])[::order] for key in ('mean', 'std'))
        set_images(cfg, mean, std, str(checkpoint))


def carry_records(checkpoint: Path, work_dir: str | Path) -> None:
    """Copy what a run says of its weights to the folder in which it goes on.

    Args:
        checkpoint (Path): What it continues from.
        work_dir (str | Path): The folder.
    """
    for name in (INIT, PROVENANCE):
        there, here = checkpoint.parent.parent / name, Path(work_dir, name)
        if there.is_file() and not here.exists():
            atomic_write(here, there.read_bytes())


def match_init_weights(cfg: Config, model: nn.Module) -> InitialWeights | None:
    """Match the file in ``init_weights`` with a model, None without one.

    Args:
        cfg (Config): The config of a training that is not resumed.
        model (nn.Module): Its model.

    Returns:
        InitialWeights: What is filled.

    Raises:
        UsageError: If there is no such file.
        SoCoError: If it cannot be read or nothing in it fits, or it does not
            fill the backbone, or a part that is kept, although it should.
    """
    choice = InitChoice.of(cfg)
    if choice is None:
        return None
    file = read_weights(choice.checkpoint)
    refuse_other_norms(model.backbone, file.weights, choice.checkpoint)
    state = model.state_dict()
    found = match_weights(file, cfg.model, state, origin_of(file, cfg, choice))
    if not choice.partial:
        refuse_partial(found, cfg.model)
    refuse_random(found, cfg.model, state)
    return found


def init_record(cfg: Config, found: InitialWeights) -> dict:
    """What is kept of initial weights beside a training, as plain data."""
    choice = asdict(InitChoice.of(cfg))
    path = choice.pop('checkpoint')
    return dict(found.to_dict(), sha256=file_hash(path), **choice)


class LoadInitialWeights(Hook):
    """Fill a model after its initialisation, before the target network is made equal.

    Args:
        found (InitialWeights): The weights.
    """

    priority = 'HIGHEST'

    def __init__(self, found: InitialWeights) -> None:
        self.weights = found.weights

    def before_train(self, runner) -> None:
        """Load the weights, once."""
        unwrap_model(runner.model).load_state_dict(self.weights, strict=False)
        self.weights = {}
