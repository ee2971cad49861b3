import os
from copy import deepcopy
from importlib.metadata import version
from typing import Any

import cv2

from soco_mm.utils import UsageError, did_you_mean, file_hash
from soco_mm.utils.stretch import as_percentiles
from soco_mm.version import __version__

_LIMITS = dict(max_boxes=None, seed=0, max_pixels=100_000_000, timeout=60, stretch=None)
# The paper's parameters (3.2, A.1), those of the released code, and a small image
# whose segments are a little larger, in a sixth to a tenth of the time.
PRESETS: dict[str, dict[str, Any]] = dict(
    paper=dict(
        generator=dict(type='SelectiveSearch', scale=500, sigma=0.9, min_size=10),
        filter=dict(max_aspect=3, size_range=(0.3, 0.8), min_side=0),
        **_LIMITS,
    ),
    released=dict(
        generator=dict(type='SelectiveSearch', scale=300, sigma=0.9, min_size=100),
        filter=dict(max_aspect=3, size_range=(0.3, 0.8), min_side=32),
        **_LIMITS,
    ),
    fast=dict(
        generator=dict(
            type='SelectiveSearch', scale=100, sigma=0.9, min_size=10, max_side=160
        ),
        filter=dict(max_aspect=3, size_range=(0.3, 0.8), min_side=0),
        **_LIMITS,
    ),
)
DEFAULT_SIDE = 500  # of SelectiveSearch
METHODS = {
    'selective-search': 'SelectiveSearch',
    'edge-boxes': 'EdgeBoxes',
    'union': 'Union',
    # In a layer above this one: it needs a model.
    'rpn': 'soco_mm.detectors.rpn_proposals.RPNProposals',
    'random': 'RandomBoxes',
    'whole': 'WholeImage',
}
# Which part of the settings a flag sets, for each method.
_SEARCH = ('scale', 'sigma', 'min_size', 'max_side', 'color_space', 'similarities')
_EDGES = ('max_side', 'min_size', 'edge_model')
_SHAPE = ('max_aspect', 'size_range')
_EVERY = tuple(_LIMITS)
# All that can be set.
SETTINGS = (*_SEARCH, 'edge_model', 'checkpoint', *_SHAPE, 'min_side', *_EVERY)


def build_settings(
    preset: str = 'paper', method: str = 'selective-search', **changes
) -> dict:
    """Settings of :func:`generate_proposals`: a preset and what differs.

    Args:
        preset (str): A name in :data:`PRESETS`. Defaults to ``paper``.
        method (str): A name in :data:`METHODS`, or the import path of a class
            that is called as ``generator(image, rng)`` and returns boxes.
            Defaults to ``selective-search``.
        **changes: Arguments of the generator (``scale`` follows a given
            ``max_side`` if it is not given itself) and of :class:`ProposalFilter`,
            and ``max_boxes``, ``seed``, ``max_pixels``, ``timeout`` and
            ``stretch`` (see :func:`soco_mm.utils.read_image`); None changes
            nothing.

    Returns:
        dict: ``generator``, ``filter`` (None keeps every box), ``max_boxes``,
        ``seed``, ``max_pixels``, ``timeout`` and ``stretch``.

    Raises:
        UsageError: If there is no such preset or method, or something was set that has
            no meaning, or none for it.
    """
    if preset not in PRESETS:
        raise UsageError(
            f'There is no preset {preset}.{did_you_mean(preset, PRESETS)} Choose '
            f'{", ".join(PRESETS)}.'
        )
    settings = deepcopy(PRESETS[preset])
    changes = {key: value for key, value in changes.items() if value is not None}
    settings.update({key: changes.pop(key) for key in _EVERY if key in changes})
    shape = settings['filter']
    aspect = changes.get('max_aspect', shape['max_aspect'])
    size_range = changes.get('size_range', shape['size_range'])
    if method not in ('whole', 'random'):
        shape.update(
            {key: changes.pop(key) for key in (*_SHAPE, 'min_side') if key in changes}
        )
    if method == 'selective-search':
        search = {key: changes.pop(key) for key in _SEARCH if key in changes}
        settings['generator'] = _follow_side(settings['generator'], search)
    elif method == 'edge-boxes':
        edges = {key: changes.pop(key) for key in _EDGES if key in changes}
        if settings['max_boxes'] is not None:
            edges['num_boxes'] = settings['max_boxes']
        settings['generator'] = _edge_boxes(edges, aspect)
    elif method == 'union':
        edges = {key: changes[key] for key in _EDGES if key in changes}
        changes.pop('edge_model', None)
        search = {key: changes.pop(key) for key in _SEARCH if key in changes}
        settings['generator'] = dict(
            type='Union',
            generators=[
                _follow_side(settings['generator'], search),
                _edge_boxes(edges, aspect),
            ],
        )
    elif method == 'rpn':
        settings['generator'] = _rpn(changes.pop('checkpoint', None))
        if settings['max_boxes'] is not None:
            settings['generator']['num_boxes'] = settings['max_boxes']
    elif method == 'random':
        # Drawn from the shapes and sizes that the filter keeps.
        settings['generator'] = dict(
            type='RandomBoxes', max_aspect=aspect, size_range=size_range
        )
        for key in _SHAPE:
            changes.pop(key, None)
        if settings['max_boxes'] is not None:
            settings['generator']['num_boxes'] = settings['max_boxes']
        settings['filter'] = None
    elif method == 'whole':
        settings['generator'] = dict(type='WholeImage')
        settings['filter'] = None
    elif '.' in method:
        settings['generator'] = dict(type=method)
    else:
        meant = did_you_mean(method, METHODS)
        raise UsageError(
            f'There is no method {method}.{meant} Choose {", ".join(METHODS)}, or '
            'the import path of a class, such as my_module.MyGenerator.'
        )
    if changes:
        flags = ', '.join(f'--{key.replace("_", "-")}' for key in changes)
        raise UsageError(f'{flags} does nothing with --method {method}; leave it out.')
    settings['stretch'] = as_percentiles(settings['stretch'])
    if settings['timeout'] <= 0:
        raise UsageError(
            'The time limit of an image must be more than 0 '
            f'seconds, but is {settings["timeout"]}.'
        )
    if aspect < 1:
        raise UsageError(
            f'The largest aspect ratio must be at least 1, but is {aspect}.'
        )
    low, high = size_range
    if not 0 <= low < high:
        raise UsageError(
            'The size range must be two numbers from 0, the '
            f'smaller one first, but is {low} {high}.'
        )
    return settings


def _follow_side(preset: dict, search: dict) -> dict:
    """Arguments of selective search; the scale follows the side that is searched.

    Two segments merge if they differ by less than the scale divided by their
    pixels, and these change with the square of the side.
    """
    side = preset.get('max_side', DEFAULT_SIDE)
    if 'max_side' in search and 'scale' not in search:
        scale = preset['scale'] * (search['max_side'] / side) ** 2
        search = dict(search, scale=float(f'{scale:.3g}'))
    return dict(preset, **search)


def _edge_boxes(edges: dict, max_aspect: float) -> dict:
    """Config of edge boxes, which leave out what the filter would not keep."""
    if model := edges.get('edge_model'):
        edges = dict(edges, edge_model=os.path.abspath(model))
    return dict(type='EdgeBoxes', max_aspect=max_aspect, **edges)


def _rpn(checkpoint: str | None) -> dict:
    """Config of the boxes of a pretrained RPN, with the hash of its checkpoint."""
    if checkpoint is None:
        raise UsageError(
            '--method rpn needs the checkpoint of a pretraining. Add --checkpoint '
            'RUN/checkpoints/epoch_N.pth.'
        )
    if not os.path.isfile(checkpoint):
        raise UsageError(f'There is no checkpoint {checkpoint}.')
    return dict(
        type=METHODS['rpn'],
        checkpoint=os.path.abspath(checkpoint),
        hash=file_hash(checkpoint),
    )


def made_with() -> dict:
    """Versions of the libraries that the boxes depend on."""
    return dict(soco_mm=__version__, opencv=cv2.__version__, numpy=version('numpy'))
