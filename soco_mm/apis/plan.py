"""What a pretraining costs, before it is started."""

from pathlib import Path

from soco_mm.detectors.pretraining_recipe import detector_recipe
from soco_mm.engine.config import load_config, set_options
from soco_mm.engine.pretraining import CONFIG
from soco_mm.planning import Plan, make_plan
from soco_mm.utils import UsageError


def plan(
    config: str | Path | None = None,
    *,
    options: dict | None = None,
    detector: str | Path | None = None,
    batch_size: int | None = None,
    gpus: int = 1,
    memory: float | None = None,
    images: int | None = None,
) -> Plan:
    """Plan a pretraining: memory, time, loaders and disk, on any machine.

    A step of the model is counted on tensors without content: operators, what
    they compute and move, and what they hold. Times are a roofline, which a real
    training does not beat, see :mod:`soco_mm.planning.roofline`.

    Args:
        config (str | Path, optional): The config, or its name under
            ``configs/soco``. Defaults to the R50-FPN's.
        options (dict, optional): Values of the config, by dotted key.
        detector (str | Path, optional): The MMDetection config of a detector whose
            own model is pretrained. Defaults to None, the model of ``config``.
        batch_size (int, optional): Images of a batch on each GPU. Defaults to the
            config's.
        gpus (int): Number of GPUs. Defaults to 1.
        memory (float, optional): Memory of one in GiB, for the largest batch that
            fits. Defaults to None.
        images (int, optional): Images of the data set. Defaults to those of the
            config where they are on this machine, else ImageNet's.

    Returns:
        Plan: The plan; :func:`soco_mm.planning.report.describe_plan` prints it.

    Raises:
        UsageError: If the config, an option or a number is wrong.
        SoCoError: If the training cannot be built or planned.

    Example:
        >>> import soco_mm
        >>> found = soco_mm.plan('short/soco_mobilenetv2_fpn_short', images=1000)
        >>> found.scaling.batch, found.memory.batch_size
        (32, 32)
    """
    for name, value in (
        ('batch size', batch_size),
        ('number of GPUs', gpus),
        ('memory', memory),
        ('number of images', images),
    ):
        if value is not None and value <= 0:
            raise UsageError(f'The {name} must be above 0, but is {value}.')
    chosen = config or CONFIG
    if detector is None:
        cfg = load_config(chosen, options)
    else:
        cfg = detector_recipe(detector, chosen, options)
        set_options(cfg, options or {}, {})
    if batch_size is not None:
        cfg.train_dataloader.batch_size = batch_size
    return make_plan(cfg, gpus, memory, images)
