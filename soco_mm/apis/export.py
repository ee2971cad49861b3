import json
import tempfile
from pathlib import Path
from typing import Optional, Union

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope

from soco_mm.checkpoint import (TransferReport, compare_tensors,
                                detector_weights, explain_mismatch,
                                match_names, read_checkpoint, read_value,
                                write_checkpoint)
from soco_mm.checkpoint.transfer import PARTS
from soco_mm.registry import MODELS
from soco_mm.utils import (ImageError, SoCoError, atomic_folder,
                           check_replaceable, read_image)
from soco_mm.version import __version__
from .detector_config import detector_config, inheriting_config, plain

WEIGHTS = 'soco_weights.pth'
REPORT = 'report.json'
# Of the tensors of a pretrained part. An FPN may have levels above those of
# the backbone, such as P6 and P7.
LEAST_FILLED = {'backbone': .9, 'neck': .5, 'shared head': .9}


def export_detector(cfg: Optional[Config],
                    checkpoint: Union[str, Path],
                    out: Union[str, Path],
                    image: Optional[Union[str, Path]] = None,
                    detector: Optional[Union[str, Path]] = None,
                    adapt: bool = False) -> TransferReport:
    """Hand a pretrained model over to MMDetection.

    Writes a folder with the weights that a detector can use, by its own
    names; a config of the detector that loads them; and ``report.json``.

    Args:
        cfg (Config, optional): The config of the pretraining. None for the
            one in the checkpoint.
        checkpoint (str | Path): A checkpoint of that training.
        out (str | Path): The folder to write; an earlier export is replaced.
        image (str | Path, optional): The image on which features are
            compared. Defaults to None, noise.
        detector (str | Path, optional): The MMDetection config of the
            detector, a path or ``mmdet::...``. Defaults to None, the Mask
            R-CNN that the model was made for.
        adapt (bool): Give that detector the norm layers and the
            normalisation of images that the pretrained model has. Defaults
            to False.

    Returns:
        TransferReport: Which tensors of the detector were filled; its
        ``config`` is the path of the detector's config.

    Raises:
        UsageError: If the detector's config cannot be read.
        SoCoError: If the checkpoint is not of this config, or something that
            should match does not; then nothing is written.
    """
    out = Path(out).resolve()
    check_replaceable(out, WEIGHTS, 'an export')
    read = read_checkpoint(checkpoint)
    model = cfg.model if cfg is not None else model_of(read, checkpoint)
    weights = detector_weights(read.get('state_dict', {}))
    pretrained = build_pretrained(model, weights)
    with atomic_folder(out) as partial:
        name, built, weights = fit_detector(pretrained, weights, model,
                                            partial, detector, adapt)
        report = fill(built, weights)
        report.max_difference = compare_features(pretrained, built,
                                                 load_input(image))
        report.config = str(out / name)
        report.notes = frozen_notes(built)
        kept = {key: weights[key] for key in weights
                if key not in report.unused}
        write_checkpoint(
            partial / WEIGHTS,
            dict(
                meta=dict(
                    soco_mm_version=__version__,
                    checkpoint=str(checkpoint),
                    model=plain(model)),
                state_dict=kept))
        (partial / REPORT).write_text(json.dumps(report.to_dict(), indent=1))
    return report


def fit_detector(pretrained: torch.nn.Module, weights: dict, model: Config,
                 folder: Path, detector: Optional[Union[str, Path]],
                 adapt: bool) -> tuple:
    """Write a detector's config and give weights their names in it.

    Returns:
        tuple: Name of the config in the folder, the detector, and the weights
        by its names.
    """
    if detector is None:
        name, text = detector_config(model, WEIGHTS)
    else:
        name, text = inheriting_config(detector, model, WEIGHTS, adapt)
    (folder / name).write_text(text)
    built = build_detector(folder / name)
    return name, built, match_names(weights, built.state_dict(),
                                    start_level(built),
                                    start_level(pretrained))


def check_detector(model: Config, detector: Union[str, Path],
                   adapt: bool) -> None:
    """Refuse a detector that a model will not fit, before it is trained.

    Args:
        model (Config): The ``model`` of the pretraining's config.
        detector (str | Path): See :func:`export_detector`.
        adapt (bool): See :func:`export_detector`.

    Raises:
        UsageError: If the detector's config cannot be read.
        SoCoError: If the model does not fit it.
    """
    net = MODELS.build(model)
    with tempfile.TemporaryDirectory() as folder:
        _, built, weights = fit_detector(net,
                                         detector_weights(net.state_dict()),
                                         model, Path(folder), detector, adapt)
    fill(built, weights)


def model_of(checkpoint: dict, path: Union[str, Path]) -> Config:
    """The model's config that a checkpoint holds; nothing in it is run.

    Raises:
        SoCoError: If it holds none.
    """
    meta = checkpoint.get('meta') or {}
    model = meta.get('model')
    if model is None:
        model = read_value(str(meta.get('cfg', '')), 'model')
    if not isinstance(model, dict):
        raise SoCoError(
            f'{path} does not say which model it is of. Give the config of '
            'its pretraining: soco-mm export CONFIG CHECKPOINT ...')
    return Config(dict(model=model)).model


def build_pretrained(model: Config, weights: dict) -> torch.nn.Module:
    """Build the pretrained model and fill backbone, neck and R-CNN head.

    Raises:
        SoCoError: If the weights are of another architecture.
    """
    net = revert_sync_batchnorm(MODELS.build(model)).eval()
    own = detector_weights(net.state_dict())
    report = compare_tensors(own, weights)
    wrong = report.mismatches()
    if wrong:
        raise SoCoError(
            'The checkpoint is of another architecture than the config: '
            f'{wrong[0]}, and {len(wrong) - 1} more. Give the config it was '
            'trained with.')
    net.load_state_dict(weights, strict=False)
    return net


def build_detector(config: Union[str, Path]) -> torch.nn.Module:
    """Build the detector of an MMDetection config, in evaluation mode."""
    from mmdet.registry import MODELS as MMDET_MODELS
    from mmdet.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    cfg = Config.fromfile(config)
    with DefaultScope.overwrite_default_scope('mmdet'):
        return revert_sync_batchnorm(MMDET_MODELS.build(cfg.model)).eval()


def fill(detector: torch.nn.Module, weights: dict) -> TransferReport:
    """Fill a detector and report; refuse one that is filled by half.

    Args:
        detector (nn.Module): The detector.
        weights (dict): Pretrained weights by its names.

    Returns:
        TransferReport: What was filled.

    Raises:
        SoCoError: If a part that was pretrained does not fit.
    """
    state = detector.state_dict()
    report = compare_tensors(state, weights)
    for name, least in LEAST_FILLED.items():
        part = report.parts.get(name)
        prefix = PARTS[name]
        pretrained = any(key.startswith(prefix) for key in weights)
        if name != 'backbone' and not pretrained:
            continue  # it starts anew, which the report says
        left_out = [key for key in report.unused if key.startswith(prefix)]
        share = len(part.filled) / part.total if part else 0
        if part is None or part.shape_differs or left_out or share < least:
            raise SoCoError(
                f'The weights do not fit the detector: of its {name} '
                f'{len(part.filled) if part else 0} of '
                f'{part.total if part else 0} tensors would be filled. '
                f'Probably {explain_mismatch(weights, state, prefix[:-1])}.')
    detector.load_state_dict(weights, strict=False)
    return report


def frozen_notes(detector: torch.nn.Module) -> list:
    """Sentences on what a detector would not train of its backbone."""
    frozen = []
    if getattr(detector.backbone, 'frozen_stages', -1) >= 0:
        stages = detector.backbone.frozen_stages
        frozen.append(f'frozen_stages={stages}')
    if getattr(detector.backbone, 'norm_eval', False):
        frozen.append('norm_eval=True')
    if not frozen:
        return []
    return [
        'note: the config keeps parts of the backbone fixed '
        f'({", ".join(frozen)}), as is usual for supervised weights; '
        "SoCo's are meant to be trained as a whole, which --adapt sets"
    ]


def load_input(image: Optional[Union[str, Path]]) -> torch.Tensor:
    """A normalised image for the comparison of features, (1, 3, H, W)."""
    try:
        pixels = None if image is None else read_image(image)
    except ImageError:  # it is gone since; noise serves as well
        pixels = None
    if pixels is None:
        return torch.randn(
            1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    pixels = torch.from_numpy(pixels).permute(2, 0, 1).float()
    pixels = torch.nn.functional.interpolate(
        pixels[None], (224, 224), mode='bilinear', antialias=True)
    mean = pixels.mean((2, 3), keepdim=True)
    return (pixels - mean) / pixels.std((2, 3), keepdim=True).clamp(min=1)


@torch.no_grad()
def compare_features(pretrained: torch.nn.Module, detector: torch.nn.Module,
                     image: torch.Tensor) -> float:
    """Compare backbone and neck, or res5, of both on an image.

    Stages and levels are compared by number, those that both have.

    Returns:
        float: The largest difference, relative to the largest value.

    Raises:
        SoCoError: If the features differ by more than rounding.
    """
    ours, theirs = (features(net, image) for net in (pretrained, detector))
    both = [name for name in ours if name in theirs]
    largest = 0.
    for name in both:
        scale = ours[name].abs().max().clamp(min=1e-12)
        if ours[name].shape != theirs[name].shape:
            largest = float('inf')
            break
        difference = (ours[name] - theirs[name]).abs().max() / scale
        largest = max(largest, difference.item())
    if not both or not largest < 1e-4:
        raise SoCoError(
            "The detector's features differ from the pretrained model's by "
            f'{largest:.1e}, although all tensors match: the two compute '
            'different things.')
    return largest


def features(net: torch.nn.Module, image: torch.Tensor) -> dict:
    """Feature maps of a model by the names of their stages and levels."""
    stages = net.backbone(image)
    indices = getattr(net.backbone, 'out_indices', range(len(stages)))
    found = {f'C{index + 2}': map_ for index, map_ in zip(indices, stages)}
    shared = getattr(getattr(net, 'roi_head', None), 'shared_head', None)
    neck = getattr(net, 'neck', None)
    if neck is not None:
        # Levels above those of the backbone start anew.
        number = len(getattr(neck, 'lateral_convs', ()))
        found.update({
            f'P{start_level(net) + level + 2}': map_
            for level, map_ in enumerate(neck(stages)[:number])
        })
    elif shared is not None:
        found['C5'] = shared(stages[-1])
    return found


def start_level(net: torch.nn.Module) -> int:
    """The stage of the backbone at which the neck of a model starts."""
    return getattr(getattr(net, 'neck', None), 'start_level', 0)
