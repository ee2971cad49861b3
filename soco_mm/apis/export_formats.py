"""Pretrained weights as files of other libraries."""

from pathlib import Path

from mmengine.config import Config

from soco_mm.checkpoint import detector_weights, read_checkpoint, state_dict_of
from soco_mm.checkpoint.libraries import split_parts
from soco_mm.checkpoint.libraries.files import (
    FORMATS,
    PRETEXT,
    FormatReport,
    check_files,
    flatten,
    write,
)
from soco_mm.checkpoint.model_config import model_of
from soco_mm.checkpoint.pretrained import build_pretrained
from soco_mm.detectors.mask_rcnn import plain
from soco_mm.utils import UsageError


def export_format(
    cfg: Config | None, checkpoint: str | Path, out: str | Path, format_: str
) -> FormatReport:
    """Write pretrained weights as a file of another library.

    Args:
        cfg (Config, optional): The config of the pretraining. None for the
            one in the checkpoint.
        checkpoint (str | Path): A checkpoint of that training, or exported
            weights.
        out (str | Path): The file to write. Detectron2 gets a YAML file of
            the same name beside it.
        format_ (str): One of ``FORMATS``.

    Returns:
        FormatReport: What was written, and what was left out.

    Raises:
        UsageError: If the format is unknown, or the file has another suffix,
            is there already, or cannot be written.
        SoCoError: If the checkpoint is not of this config, or the other
            library has no such model; then nothing is written.
    """
    if format_ not in FORMATS:
        raise UsageError(
            f'There is no format {format_}; there are {", ".join(FORMATS)}.'
        )
    kind = FORMATS[format_]
    out = Path(out)
    files = check_files(out, format_)
    read = read_checkpoint(checkpoint)
    state_dict = state_dict_of(read, checkpoint)
    model = plain(cfg.model if cfg is not None else model_of(read, checkpoint))
    weights = detector_weights(state_dict)
    build_pretrained(Config(dict(model=model)).model, weights, checkpoint)
    parts = split_parts(weights)
    converted = kind.convert(parts, model)
    for file in files:
        write(file, format_, flatten(converted), parts, model)
    written = {part: len(entries) for part, entries in converted.items()}
    left_out = {
        part: len(entries) - written.get(part, 0) for part, entries in parts.items()
    }
    for part, prefix in PRETEXT.items():
        left_out[part] = sum(name.startswith(prefix) for name in state_dict)
    return FormatReport(
        str(out),
        written,
        {key: n for key, n in left_out.items() if n},
        kind.note(model, out),
    )
