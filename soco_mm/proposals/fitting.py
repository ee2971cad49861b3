"""Settings of proposals that fit a few annotated images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from soco_mm.errors import UsageError

from .annotated import read_shapes
from .listing import ImageSet
from .presets import build_settings
from .statistics import box_shapes

# Share of the objects that may lie beyond each end of the range, and that may
# be longer than the aspect ratio allows.
LEFT_OUT = 0.05
# A box of twice or half the area of an object has an IoU of 0.5 with it at
# best: what is kept reaches beyond the objects by this factor of their sides.
MARGIN = 2**0.5
# Pixels of a small object in the image that is searched, and the share of the
# objects that may have fewer: with less, a few tiny ones cost all images much time
# and add thousands of boxes.
SMALL_OBJECT = 12
SMALL_SHARE = 0.25
# The shortest and the longest side that is searched; the latter takes about a
# second an image.
SIDES = (160, 640)
# A segment merges with another if they differ by less than scale / pixels.
CONTRAST = 0.25
# Lower values hardly find more, and higher ones lose large objects too.
SCALES = (25, 100)
# The smallest segment is this share of a small object, between two numbers of pixels.
SEGMENT = 0.1
SEGMENTS = (10, 100)
FEW = 20  # objects; fewer say little about the smallest and largest
# What can be derived for each method; of other classes only the filter.
FITTED = {
    'selective-search': ('size_range', 'max_aspect', 'max_side', 'scale'),
    'edge-boxes': ('size_range', 'max_aspect', 'max_side'),
    'union': ('size_range', 'max_aspect', 'max_side', 'scale'),
    'whole': (),
}
FILTER = ('size_range', 'max_aspect')


class Fit(NamedTuple):
    """Settings that were derived from objects.

    Attributes:
        values (dict): ``size_range``, ``max_aspect``, ``max_side``, ``scale``, and
            the largest ``min_side`` and ``min_size`` that keep the objects.
        reasons (dict[str, str]): Why, by the same names.
    """

    values: dict[str, Any]
    reasons: dict[str, str]


def derive_settings(
    boxes: np.ndarray, sizes: np.ndarray, max_side: int | None = None
) -> Fit:
    r"""Derive the settings of selective search and of the filter.

    Sizes are :math:`\sqrt{wh}/\sqrt{WH}`, as the filter has them. The range
    holds all but :data:`LEFT_OUT` of the objects at each end, and reaches
    beyond them by :data:`MARGIN`, as does the aspect ratio. All but
    :data:`SMALL_SHARE` of the objects have :data:`SMALL_OBJECT` pixels or more
    in the image that is searched, and the scale of the segmentation is
    :data:`CONTRAST` times the area of a small one.

    Args:
        boxes (np.ndarray): Objects, x1 y1 x2 y2 in pixels, (G, 4), G >= 1.
        sizes (np.ndarray): Width and height of the image of each, (G, 2).
        max_side (int, optional): The side that is searched. Defaults to None,
            it is derived.

    Returns:
        Fit: The settings, and the reasons.

    Example:
        >>> import numpy as np
        >>> fit = derive_settings(np.array([[9, 9, 73, 73]]), np.array([[640, 640]]))
        >>> [fit.values[key] for key in ('size_range', 'max_side', 'scale')]
        [(0.07, 0.15), 160, 65]
    """
    relative, aspect = box_shapes(boxes, sizes)
    longer = np.maximum(aspect, 1 / aspect)
    low = float(np.quantile(relative, LEFT_OUT, method='lower'))
    high = float(np.quantile(relative, 1 - LEFT_OUT, method='higher'))
    long = float(np.quantile(longer, 1 - LEFT_OUT, method='higher'))
    sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).astype(float).prod(1))
    small = float(
        np.quantile(sides / np.max(sizes, 1), SMALL_SHARE, method='lower')
    )  # of the longer side of the image
    if max_side is None:
        largest = np.clip(np.max(sizes), *SIDES)  # no image is enlarged
        needed = np.ceil(SMALL_OBJECT / small / 10) * 10
        max_side = int(np.clip(needed, SIDES[0], largest))
    pixels = small * min(max_side, np.max(sizes))
    scale = int(np.clip(5 * np.round(CONTRAST * pixels**2 / 5), *SCALES))
    shorter = (boxes[:, 2:] - boxes[:, :2]).min(1)
    steps = 100 if low / MARGIN >= 0.02 else 1000
    return Fit(
        dict(
            size_range=(
                float(np.floor(low / MARGIN * steps) / steps),
                float(min(1, np.ceil(high * MARGIN * 100) / 100)),
            ),
            max_aspect=float(np.ceil(2 * long * MARGIN) / 2),
            max_side=max_side,
            scale=scale,
            min_side=int(np.quantile(shorter, LEFT_OUT, method='lower') / MARGIN),
            min_size=int(np.clip(SEGMENT * pixels**2, *SEGMENTS)),
        ),
        dict(
            size_range=f"objects have {low:.3f} to {high:.3f} of the image's side, "
            'and boxes of half to twice their area can have an IoU of 0.5 with them',
            max_aspect=f'objects are up to {long:.1f} times as long as they are wide, '
            'and boxes up to 1.4 times as long as that can fit',
            max_side=f'small objects, of {small:.3f} of the longer side, then have '
            f'{pixels:.0f} pixels',
            scale=f'segments as small as such objects, {pixels:.0f}x{pixels:.0f} '
            'pixels, then stay apart from what is around them',
            min_side='objects have shorter sides than the preset keeps',
            min_size='segments of the preset are larger than parts of such objects',
        ),
    )


def fit_settings(
    annotations: str | Path,
    images: ImageSet,
    preset: str = 'paper',
    method: str = 'selective-search',
    **changes,
) -> dict:
    """Settings of proposals that fit the objects on a few annotated images.

    Args:
        annotations (str | Path): COCO, YOLO or Pascal VOC annotations, see
            :func:`soco_mm.proposals.annotated.read_shapes`.
        images (ImageSet): The images.
        preset (str): See :func:`build_settings`. Defaults to ``paper``.
        method (str): The same. Defaults to ``selective-search``.
        **changes: What is set in any case, see :func:`build_settings`.

    Returns:
        dict: What :func:`build_settings` returns, and under ``derived`` the
        name of the ``annotations``, the numbers of ``objects`` and ``images``,
        lines on what was ``left_out``, and the ``reasons`` by what was derived.

    Raises:
        UsageError: If there is no object, or nothing is left to derive.
        SoCoError: If the boxes are not in pixels.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    free = [key for key in FITTED.get(method, FILTER) if key not in given]
    if not free:
        raise UsageError(
            f'--ann derives nothing for --method {method} that is not set already. '
            'Leave it out.'
        )
    boxes, sizes, number, account = read_shapes(annotations, images)
    fit = derive_settings(boxes, sizes, given.get('max_side'))
    settings = build_settings(
        preset, method, **given, **{key: fit.values[key] for key in free}
    )
    free += keep_small(settings, fit, given)
    settings['derived'] = dict(
        annotations=Path(annotations).name,
        objects=len(boxes),
        images=number,
        left_out=account.lines(),
        reasons={key: fit.reasons[key] for key in free},
    )
    return settings


def keep_small(settings: dict, fit: Fit, given: Mapping) -> list[str]:
    """Lower the smallest sizes of a preset that would leave out the objects.

    Args:
        settings (dict): The settings, changed in place.
        fit (Fit): What was derived.
        given (Mapping): What is set in any case.

    Returns:
        list[str]: Names of what was lowered.
    """
    lowered = []
    shape = settings['filter'] or {}
    for key, part in (('min_side', shape), ('min_size', search_of(settings))):
        if key not in given and part.get(key, 0) > fit.values[key]:
            part[key] = fit.values[key]
            lowered.append(key)
    return lowered


def search_of(settings: dict) -> dict:
    """The generator that searches: of a union the first, which has all arguments."""
    generator = settings['generator']
    return generator.get('generators', [generator])[0]


def explain_fit(settings: dict) -> list[str]:
    """What was derived, and why, one line each; empty if nothing was.

    Args:
        settings (dict): What :func:`fit_settings` returns, or a header.
    """
    derived = settings.get('derived')
    if not derived:
        return []
    values = {**search_of(settings), **(settings['filter'] or {})}
    number, images = derived['objects'], derived['images']
    lines = [
        f'Fitted to {number} annotated object{"s" * (number != 1)} on {images} '
        f'image{"s" * (images != 1)} of {derived["annotations"]}:'
    ]
    lines += [f'  {each}' for each in derived.get('left_out', ())]
    for key, reason in derived['reasons'].items():
        value = values[key]
        text = ' '.join(f'{each:g}' for each in np.atleast_1d(value))
        lines.append(f'  --{key.replace("_", "-")} {text}: {reason}')
    if number < FEW:
        lines.append(
            f'  {number} objects say little about the smallest and the largest: '
            f'annotate {FEW} or more'
        )
    return lines
