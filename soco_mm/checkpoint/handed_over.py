"""Which parts of a pretrained model are handed over to a detector."""

from collections.abc import Iterable, Mapping, Sequence

from soco_mm.errors import SoCoError, UsageError, did_you_mean

# Part -> how the names of its tensors start. The last stage of a C4 model's backbone
# is its R-CNN head as well.
PARTS_BY_NAME = {
    'backbone': ('backbone.', 'roi_head.shared_head.'),
    'neck': ('neck.',),
    'head': ('roi_head.', 'bbox_head.'),
    'rpn': ('rpn_head.',),
}
ALL = 'all'


def read_parts(
    parts: str | Sequence[str] | None, source: str = '--parts'
) -> tuple[str, ...] | None:
    """Read the names of parts that are handed over.

    Args:
        parts (str | Sequence[str], optional): Names of ``PARTS_BY_NAME``, or
            ``all`` of them; in a text they are separated by commas.
        source (str): What says so, for messages. Defaults to ``--parts``.

    Returns:
        tuple[str]: The names in their usual order; None if none are given.

    Raises:
        UsageError: If a name is unknown, or there is none.

    Example:
        >>> from soco_mm.checkpoint.handed_over import read_parts
        >>> read_parts('neck, backbone')
        ('backbone', 'neck')
    """
    if parts is None:
        return None
    names = parts.split(',') if isinstance(parts, str) else parts
    names = [str(name).strip() for name in names]
    choices = [*PARTS_BY_NAME, ALL]
    for name in names:
        if name not in choices:
            raise UsageError(
                f'{source}: there is no part {name!r}.{did_you_mean(name, choices)} '
                f'Choose from {", ".join(choices)}, separated by commas.'
            )
    if not names:
        raise UsageError(f'{source} names no part. Choose from {", ".join(choices)}.')
    return tuple(name for name in PARTS_BY_NAME if name in names or ALL in names)


def given_parts(
    parts: str | Sequence[str] | None, backbone_only: bool | None = None
) -> tuple[str, ...] | None:
    """The parts that a user asks for; ``backbone_only`` is short for one of them.

    Raises:
        UsageError: If a name is unknown, or both are given.
    """
    if backbone_only and parts is not None:
        raise UsageError(
            '--backbone-only is the same as --parts backbone. Give only one of them.'
        )
    return ('backbone',) if backbone_only else read_parts(parts)


def trainable_parts(model: Mapping) -> dict[str, str]:
    """The parts that ``--train`` takes, and their keys in the ``model`` of a config.

    Example:
        >>> from soco_mm.checkpoint.handed_over import trainable_parts
        >>> trainable_parts(dict(bbox_head=dict(type='ObjectDenseHead')))
        {'backbone': 'backbone', 'head': 'bbox_head'}
    """
    head = 'bbox_head' if model.get('bbox_head') else 'roi_head'
    neck = {'neck': 'neck'} if model.get('neck') else {}
    return {'backbone': 'backbone', **neck, 'head': head}


def check_trained(model: Mapping, parts: Sequence[str] | None) -> None:
    """Refuse to hand over nothing but what a training keeps as it is.

    The detector would get the weights that the training starts from.

    Args:
        model (Mapping): The ``model`` of the pretraining's config.
        parts (Sequence[str], optional): The parts that are handed over; None
            for all.

    Raises:
        UsageError: If all of them are in ``model.frozen_parts``.
    """
    heads = ('roi_head', 'bbox_head')
    frozen = model.get('frozen_parts') or ()
    kept = {'head' if name in heads else name for name in frozen}
    if (model.get('roi_head') or {}).get('shared_head') and 'roi_head' not in frozen:
        kept.discard('backbone')  # its last stage, res5, is trained as the head
    if parts and kept.issuperset(parts):
        raise UsageError(
            f'Only the {" and ".join(parts)} would be handed over to the detector '
            '(--parts, --backbone-only, or the recipe), but this training freezes that '
            'part, so that the weights are those at its start. Hand over a trained '
            f'part too, or train all: --train {",".join(trainable_parts(model))}.'
        )


def keep_parts(
    weights: Mapping, parts: Sequence[str] | None, source: str
) -> tuple[dict, list[str]]:
    """Divide weights into what is handed over and what is not.

    Args:
        weights (Mapping): Pretrained weights by MMDetection's names.
        parts (Sequence[str], optional): Names of ``PARTS_BY_NAME``; None for
            all weights.
        source (str): The checkpoint, for messages.

    Returns:
        tuple[dict, list[str]]: The weights that are handed over, and the names
        of the others.

    Raises:
        UsageError: If there are no weights of one of the parts, unless all
            parts are named.
    """
    if parts is None or set(parts) == set(PARTS_BY_NAME):
        return dict(weights), []
    held = parts_of(weights)
    for part in parts:
        if part not in held:
            raise UsageError(
                f'There is no {part} in {source}, so it cannot be handed over. Choose '
                f'from its parts: {", ".join(held)}.'
            )
    prefixes = tuple(prefix for part in parts for prefix in PARTS_BY_NAME[part])
    kept = {name: weights[name] for name in weights if name.startswith(prefixes)}
    return kept, [name for name in weights if name not in kept]


def parts_of(names: Iterable[str]) -> list[str]:
    """Names of the parts that some tensors belong to."""
    names = list(names)
    return [
        part
        for part, prefixes in PARTS_BY_NAME.items()
        if any(name.startswith(prefixes) for name in names)
    ]


def nothing_left(what: str, parts: Sequence[str] | None) -> SoCoError:
    """The error for a file that would be empty."""
    return SoCoError(
        f'{what} takes none of the parts {", ".join(parts or ())}. Choose others '
        'with --parts.'
    )
