from inspect import signature
from typing import NamedTuple

import numpy as np

from .edge_boxes import EdgeBoxes
from .random_boxes import RandomBoxes
from .selective_search import SelectiveSearch
from .store import ProposalStore
from .summary import ProposalSummary

BLOCK = 1 << 20  # boxes that are looked at together
COUNT_BINS = 40
STRETCH = 2  # of the axis of numbers, beyond what nine tenths of the images have
SIZE_EDGES = np.linspace(0, 1, 51)
# log2 of the aspect ratio: eighths of an octave.
ASPECT_EDGES = np.linspace(-5, 5, 81)

# Advice is given if more than this share of the objects is out of reach, and
# the advised value leaves out no more than this.
OBJECTS_SHARE = 0.2
IMAGES_SHARE = 0.1  # the same for images on a fall-back
TRAINING_BOXES = 4  # drawn per image by the recipes, K
SEARCHED_SIDE = 16  # pixels, of the smallest object that segments resolve
# Smaller sides count as this many pixels; a generator may return lines.
THINNEST = 1e-6


class Histogram(NamedTuple):
    """Counts per bin.

    Attributes:
        edges (np.ndarray): Of the bins, ascending, (B + 1,). What lies beyond
            the first and last counts in their bins.
        counts (np.ndarray): Numbers in the bins, int64, (B,).
    """

    edges: np.ndarray
    counts: np.ndarray


def box_shapes(boxes: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Relative sizes and aspect ratios, as the filter understands them.

    Args:
        boxes (np.ndarray): x1 y1 x2 y2 in pixels, (P, 4).
        sizes (np.ndarray): Width and height of the image of each, (P, 2).

    Returns:
        tuple: :math:`\sqrt{wh}/\sqrt{WH}` and :math:`w/h`, float64, (P,).
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64)
    sides = np.maximum(sides, THINNEST)
    relative = np.sqrt(sides.prod(1) / np.asarray(sizes, float).prod(1))
    return relative, sides[:, 0] / sides[:, 1]


def make_histogram(values: np.ndarray, edges: np.ndarray) -> Histogram:
    """Count values in bins of equal width; see :class:`Histogram`."""
    width = edges[1] - edges[0]
    # The quotient of an edge may come out just below its bin.
    bins = np.floor((values - edges[0]) / width + 1e-9)
    bins = np.clip(bins, 0, len(edges) - 2).astype(int)
    return Histogram(edges, np.bincount(bins, minlength=len(edges) - 1))


def shape_histograms(boxes: np.ndarray, sizes: np.ndarray) -> dict[str, Histogram]:
    """Histograms of relative sizes, and of log2 of the aspect ratios.

    Args:
        boxes (np.ndarray): x1 y1 x2 y2 in pixels, (P, 4).
        sizes (np.ndarray): Width and height of the image of each, (P, 2).

    Returns:
        dict: ``size`` and ``aspect``.
    """
    relative, aspect = box_shapes(boxes, sizes)
    return dict(
        size=make_histogram(relative, SIZE_EDGES),
        aspect=make_histogram(np.log2(aspect), ASPECT_EDGES),
    )


def store_histograms(store: ProposalStore) -> dict[str, Histogram]:
    """Histograms over all images of a store, whatever its length.

    Args:
        store (ProposalStore): The store.

    Returns:
        dict: ``number``, boxes of an image, the last of its bins holding the
        longest hundredth too; ``size`` and ``aspect`` as
        :func:`shape_histograms` has them.
    """
    offsets, boxes = store.arrays['offsets'], store.arrays['boxes']
    numbers = np.diff(offsets)
    # Without the longest image at least, and no more than a few times what most have.
    largest = min(
        np.quantile(numbers, 0.99, method='lower'),
        STRETCH * np.quantile(numbers, 0.9, method='lower'),
    )
    width = int(largest // COUNT_BINS + 1)
    edges = np.arange(largest // width + 2) * width - 0.5  # between integers
    histograms = dict(number=make_histogram(numbers, edges))
    for start in range(0, len(boxes), BLOCK):
        block = boxes[start : start + BLOCK]
        rows = np.arange(start, start + len(block))
        image = np.searchsorted(offsets, rows, side='right') - 1
        of_block = shape_histograms(block, store.arrays['sizes'][image])
        for name, (edges, counts) in of_block.items():
            if name in histograms:
                counts = counts + histograms[name].counts
            histograms[name] = Histogram(edges, counts)
    return histograms


def header_parameters(header: dict) -> dict:
    """The parameters in a header, under their headings."""
    generator = header['generator']
    other = {
        key: header[key]
        for key in ('max_boxes', 'seed', 'max_pixels', 'timeout', 'stretch')
        if key in header
    }
    return dict(
        generator=dict(type=generator['type'], **generator_parameters(generator)),
        filter=header.get('filter') or {},
        other=dict(
            other,
            images=header.get('root'),
            **{
                f'made with {name}': version
                for name, version in header.get('made_with', {}).items()
            },
        ),
    )


def generator_parameters(generator: dict) -> dict:
    """All parameters of a generator, those left at their defaults too.

    Args:
        generator (dict): ``type`` and what was set, from a header.

    Returns:
        dict: The parameters without ``type``; for a class that is not ours,
        only what was set.
    """
    known = {each.__name__: each for each in (SelectiveSearch, EdgeBoxes, RandomBoxes)}
    parameters = {key: generator[key] for key in generator if key != 'type'}
    if generator['type'] in known:
        # It is not built: that may take a file which is gone by now.
        accepted = signature(known[generator['type']]).parameters.values()
        parameters = {each.name: each.default for each in accepted} | parameters
    return parameters


def advise(
    summary: ProposalSummary,
    header: dict,
    boxes: np.ndarray | None = None,
    sizes: np.ndarray | None = None,
) -> list[str]:
    """Say which parameters do not fit the images, and what to set.

    Args:
        summary (ProposalSummary): The figures of the store.
        header (dict): ``generator`` and ``filter`` of the store, and
            ``max_boxes``.
        boxes (np.ndarray, optional): Annotated objects, x1 y1 x2 y2 in
            pixels, (G, 4). Defaults to None.
        sizes (np.ndarray, optional): Width and height of their images in
            pixels, (G, 2).

    Returns:
        list[str]: Sentences, each with a flag and a value; empty if all is
        well.
    """
    advice = []
    if boxes is not None and len(boxes):
        if header.get('filter'):
            advice += _fit_filter(header['filter'], boxes, sizes)
        advice += _fit_resolution(header, boxes, sizes)
    if header.get('filter'):
        advice += _explain_fallbacks(summary, header)
    advice += _want_more_boxes(summary, header)
    if summary.failures:
        advice.append(
            f'{_images(summary.failures)} failed, of which '
            f'{summary.left_out} cannot be used and are left out; '
            'failures.jsonl in the store has the reasons.'
        )
    return advice


def _fit_filter(shape: dict, boxes: np.ndarray, sizes: np.ndarray) -> list[str]:
    """Advice on objects that no kept proposal can fit."""
    advice = []
    relative, aspect = box_shapes(boxes, sizes)
    low, high = shape['size_range']
    too_small, too_large = np.mean(relative < low), np.mean(relative > high)
    fitting = [low, high]
    if too_small > OBJECTS_SHARE:
        smallest = _low_quantile(relative)
        steps = 20 if smallest >= 0.05 else 100
        fitting[0] = np.floor(smallest * steps) / steps
    if too_large > OBJECTS_SHARE:
        fitting[1] = np.ceil(_high_quantile(relative) * 20) / 20
    value = f'--size-range {fitting[0]:g} {fitting[1]:g}'
    if too_small > OBJECTS_SHARE:
        advice.append(
            f'{_percent(too_small)} of the annotated objects are smaller than '
            f"the smallest kept proposal ({low:g} of the image's side); lower "
            f'the first value of --size-range, e.g. {value}.'
        )
    if too_large > OBJECTS_SHARE:
        advice.append(
            f'{_percent(too_large)} of the annotated objects are larger than '
            f"the largest kept proposal ({high:g} of the image's side); raise "
            f'the second value of --size-range, e.g. {value}.'
        )

    longer = np.maximum(aspect, 1 / aspect)
    too_long = np.mean(longer > shape['max_aspect'])
    if too_long > OBJECTS_SHARE:
        advice.append(
            f'{_percent(too_long)} of the annotated objects are longer than '
            f'{shape["max_aspect"]:g} times their width; raise --max-aspect, '
            f'e.g. --max-aspect {np.ceil(_high_quantile(longer)):g}.'
        )

    sides = (boxes[:, 2:] - boxes[:, :2]).min(1)
    too_thin = np.mean(sides < shape.get('min_side', 0))
    if too_thin > OBJECTS_SHARE:
        advice.append(
            f'{_percent(too_thin)} of the annotated objects have a side of '
            f'fewer than {shape["min_side"]:g} pixels; lower --min-side, e.g. '
            f'--min-side {np.floor(_low_quantile(sides)):g}.'
        )
    return advice


def _fit_resolution(header: dict, boxes: np.ndarray, sizes: np.ndarray) -> list[str]:
    """Advice on objects that vanish when the image is reduced."""
    parameters = generator_parameters(header['generator'])
    max_side = parameters.get('max_side')
    if not max_side:
        return []
    longest = sizes.max(1)
    side = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1))
    # The value from which an object is large enough, or its image is hardly
    # reduced.
    needed = np.minimum(SEARCHED_SIDE * longest / side, longest / 2)
    lost = needed > max_side
    if lost.mean() <= OBJECTS_SHARE:
        return []
    value = f'{np.ceil(_high_quantile(needed) / 100) * 100:g}'
    if 'scale' in parameters:
        # Else it follows the side, and segments stay as large as they are.
        value += f' --scale {parameters["scale"]:g}'
    return [
        f'{_percent(lost.mean())} of the annotated objects are smaller than '
        f'{SEARCHED_SIDE} pixels once their images, '
        f'{np.median(longest[lost]):.0f} pixels long, are reduced to '
        f'{max_side:g}; raise --max-side, e.g. --max-side {value}, which '
        'takes longer.'
    ]


def _explain_fallbacks(summary: ProposalSummary, header: dict) -> list[str]:
    """Advice on the images of which the filter kept nothing."""
    advice = []
    shape, status = header['filter'], summary.status
    low, high = shape['size_range']
    number = status.get('aspect_only', 0)
    if number > IMAGES_SHARE * summary.images:
        wider = (
            f'--size-range {np.floor(low * 50) / 100:g} '
            f'{max(high, np.ceil((high + 1) * 50) / 100):g}'
        )
        if shape.get('min_side'):
            wider += f' --min-side {shape["min_side"] // 2:g}'
        advice.append(
            f'On {_share(number, summary)} no box has the size that is kept, '
            f'and boxes of any size are taken; widen the filter, e.g. {wider}.'
        )
    number = status.get('min_side_only', 0)
    if number > IMAGES_SHARE * summary.images:
        advice.append(
            f'On {_share(number, summary)} no box has the shape that is kept, '
            'and boxes of any shape are taken; raise --max-aspect, e.g. '
            f'--max-aspect {2 * shape["max_aspect"]:g}.'
        )
    # Images on which the generator failed have the whole image too.
    failed = summary.failures - summary.left_out
    number = status.get('whole_image', 0) - failed
    finer = _finer(header['generator'])
    if finer and number > IMAGES_SHARE * summary.images:
        advice.append(
            f'On {_share(number, summary)} there is no box but the whole '
            f'image; lower --scale or --min-size, e.g. {finer}.'
        )
    return advice


def _want_more_boxes(summary: ProposalSummary, header: dict) -> list[str]:
    """Advice on too few boxes to draw from."""
    median = summary.boxes_per_image['median']
    if median >= TRAINING_BOXES or not summary.images:
        return []
    few = (
        f'Half of the images have at most {median:g} boxes, but training '
        f'draws {TRAINING_BOXES} per image; '
    )
    finer = _finer(header['generator'])
    limit = header.get('max_boxes')
    if limit is not None and limit < TRAINING_BOXES:
        return [few + 'raise --max-boxes, e.g. --max-boxes 32.']
    if finer:
        return [few + f'lower --scale or --min-size, e.g. {finer}.']
    return []


def _finer(generator: dict) -> str:
    """Flags with which selective search finds more boxes, if it is used."""
    if generator['type'] != 'SelectiveSearch':
        return ''
    search = generator_parameters(generator)
    return (
        f'--scale {search["scale"] / 2:g} --min-size {max(1, search["min_size"] // 2)}'
    )


def _low_quantile(values: np.ndarray) -> float:
    return np.quantile(values, OBJECTS_SHARE, method='lower')


def _high_quantile(values: np.ndarray) -> float:
    return np.quantile(values, 1 - OBJECTS_SHARE, method='higher')


def _images(number: int) -> str:
    return '1 image' if number == 1 else f'{number} images'


def _percent(share: float) -> str:
    return f'{100 * share:.0f} %'


def _share(number: int, summary: ProposalSummary) -> str:
    return f'{_percent(number / summary.images)} of the images'
