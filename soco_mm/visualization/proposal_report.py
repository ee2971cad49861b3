"""The page by which a person judges proposals."""

import base64
import re
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import cv2
import numpy as np

from .drawing import draw_boxes
from .svg import draw_histogram, round_step

PICTURE_SIDE = 360  # pixels of the longer side
DRAWN_BOXES = 16
JPEG_QUALITY = 82
STATUS_WORDS = dict(
    filtered='as the filter keeps them',
    aspect_only='of the shape, of any size',
    min_side_only='of any size and shape',
    whole_image='the whole image',
)
SIZE_WORDS = dict(
    all='all',
    small='small,<br>&lt;\u00a032²\u00a0px',
    medium='medium,<br>&lt;\u00a096²\u00a0px',
    large='large',
)

# Nothing is loaded from elsewhere, and the browser is told to see to it.
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}: proposals</title>
<style>{style}</style>
</head>
<body><main>
{body}
</main></body>
</html>
"""
STYLE = """
:root { --ink: #1f2429; --soft: #626a73; --line: #e3e6ea; --blue: #3d7ea6;
  --orange: #c9600f; color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f7f8f9; color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  -webkit-text-size-adjust: 100%; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; font-weight: 650; line-height: 1.2; margin: 0; }
h2 { font-size: 17px; font-weight: 650; margin: 0 0 12px; }
p { margin: 0 0 12px; max-width: 75ch; }
p, li, figcaption, .settings td { overflow-wrap: anywhere; }
section { background: #fff; border: 1px solid var(--line); border-radius: 8px;
  margin-top: 20px; padding: 20px 24px; }
code { font: 0.92em ui-monospace, "SF Mono", Menlo, Consolas, monospace;
  background: rgb(0 0 0 / 5%); border-radius: 3px; padding: 1px 4px;
  white-space: nowrap; }
.path, .note { color: var(--soft); }
.path { margin: 4px 0 0; }
.tiles { display: grid; grid-template-columns: repeat(5, 1fr); margin: 0; }
.tiles dt { color: var(--soft); font-size: 13px; }
.tiles dd { margin: 0; font-size: 26px; line-height: 1.3; }
.tiles .aside { color: var(--soft); font-size: 13px; min-height: 1.3em; }
.columns { display: grid; gap: 8px 48px; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(300px, 100%), 1fr)); }
table { border-collapse: collapse; width: 100%; }
th, td { padding: 4px 0 4px 16px; text-align: right; font-weight: 400;
  border-bottom: 1px solid var(--line); vertical-align: baseline; }
th:first-child { padding-left: 0; text-align: left; }
thead th { color: var(--soft); font-size: 13px; }
tbody tr:last-child > * { border-bottom: 0; }
table, .tiles, svg { font-variant-numeric: tabular-nums; }
.recall { margin-bottom: 12px; }
.recall tbody tr:nth-child(even) > * { border-bottom: 0; padding-bottom: 0; }
.recall tbody tr:nth-child(even) td { font-weight: 650; }
.recall tbody tr:nth-child(odd):not(:first-child) > * { color: var(--soft); }
.settings th:first-child { color: var(--soft); white-space: nowrap; }
.settings td { text-align: left; }
.advice { background: #fff8ec; border-color: #f0dcb8; }
.advice.fine { background: #f1f8f3; border-color: #cfe5d6; }
section > p:last-child { margin: 0; }
ul { margin: 0; padding-left: 20px; }
ul + p { margin-top: 12px; }
.advice li + li { margin-top: 8px; }
.charts { display: grid; gap: 16px 32px;
  grid-template-columns: repeat(auto-fit, minmax(min(280px, 100%), 1fr)); }
figure { margin: 0; min-width: 0; }
.charts figcaption { font-size: 13px; color: var(--soft); }
svg { display: block; width: 100%; height: auto; }
.bar { fill: #8fb8d0; }
.step { fill: none; stroke: var(--orange); stroke-width: 1.5; }
.grid { stroke: var(--line); }
.axis { fill: var(--soft); font-size: 11px; }
.bound { stroke: var(--ink); stroke-dasharray: 3 3; }
.bound-label { fill: var(--ink); stroke: none; }
.key { display: inline-block; width: 18px; height: 10px; margin-right: 6px; }
.key.bars { background: #8fb8d0; }
.key.steps { height: 0; border-top: 2px solid var(--orange);
  vertical-align: 4px; margin-left: 16px; }
.pictures { display: grid; gap: 16px; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(220px, 46%), 1fr)); }
.pictures img { display: block; width: 100%; aspect-ratio: 4 / 3;
  object-fit: contain; }
.pictures img, .missing { background: #f1f2f4; border-radius: 4px; }
.pictures figcaption { font-size: 12px; line-height: 1.35; margin-top: 6px;
  color: var(--soft); }
.missing { aspect-ratio: 4 / 3; padding: 16px; font-size: 13px;
  overflow: hidden; }
@media (max-width: 720px) {
  main { padding: 20px 12px 40px; }
  section { padding: 16px 14px; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 10px 16px; }
  .tiles dd { font-size: 22px; }
  .recall { font-size: 14px; }
  .recall td, .recall th + th { padding-left: 8px; }
}
"""


class Picture(NamedTuple):
    """An image with its boxes, or why it is not shown.

    Attributes:
        path (str): Of the image.
        boxes (int): Number of its boxes.
        jpeg (bytes): The picture, empty if there is none.
        problem (str): A sentence that says why. Defaults to none.
    """

    path: str
    boxes: int
    jpeg: bytes
    problem: str = ''


def draw_picture(image: np.ndarray, boxes: np.ndarray) -> bytes:
    """Draw boxes on a small copy of an image.

    Args:
        image (np.ndarray): RGB, uint8, (H, W, 3).
        boxes (np.ndarray): x1 y1 x2 y2 in its pixels, (P, 4), of which at most
            :data:`DRAWN_BOXES` are drawn, evenly picked.

    Returns:
        bytes: A JPEG.
    """
    height, width = image.shape[:2]
    factor = min(1, PICTURE_SIDE / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    picked = np.linspace(0, len(boxes) - 1, min(DRAWN_BOXES, len(boxes)))
    scale = np.tile([size[0] / width, size[1] / height], 2)
    drawn = draw_boxes(small, boxes[picked.round().astype(int)] * scale)
    _, data = cv2.imencode(
        '.jpg',
        cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR),
        [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY],
    )
    return data.tobytes()


def render_report(
    summary: dict,
    parameters: dict[str, dict],
    histograms: dict[str, tuple],
    advice: Sequence[str],
    recall: dict | None = None,
    galleries: dict[str, Sequence[Picture]] | None = None,
    note: str = '',
) -> str:
    """Write the page: HTML that needs nothing but itself.

    Args:
        summary (dict): ``store``, ``images``, ``boxes``, ``boxes_per_image``,
            ``status``, ``failures``, ``left_out`` and ``first_failures``.
        parameters (dict): Names and values under ``generator``, ``filter``
            (empty if every box was kept) and other headings.
        histograms (dict): ``number``, ``size`` and ``aspect``, edges and
            counts; the edges of the last are log2 of the ratio.
        advice (Sequence[str]): Sentences.
        recall (dict, optional): ``proposals`` and ``random``, as
            :func:`soco_mm.proposals.recall.measure_recall` returns them;
            ``size`` and ``aspect``, histograms of the objects with the edges
            of those above; ``annotations`` (their file), ``images``,
            ``absent``, ``other_size`` and ``account``, lines on objects that
            were left out. Defaults to None.
        galleries (dict, optional): Pictures by their headings. Defaults to
            None.
        note (str): A sentence in the place of the pictures. Defaults to none.

    Returns:
        str: The page.
    """
    sections = [_head(summary), _advice(advice)]
    if recall:
        sections.append(_recall(recall))
    sections.append(_charts(histograms, parameters['filter'], recall))
    if summary['failures']:
        sections.append(_failures(summary))
    sections += [_gallery(*each) for each in (galleries or {}).items()]
    if note:
        sections.append(_section('Pictures', f'<p>{_text(note)}</p>'))
    sections.append(_parameters(parameters))
    return PAGE.format(
        style=STYLE,
        title=_text(summary['store'].rpartition('/')[2]),
        body='\n'.join(sections),
    )


def _text(value) -> str:
    """Text for HTML, whatever bytes a file name in it has."""
    return escape(str(value).encode('utf-8', 'backslashreplace').decode())


def _number(value: float) -> str:
    """A count, its thousands apart."""
    return f'{value:,.0f}'.replace(',', '\u202f')  # a narrow space


def _percent(share: float) -> str:
    return f'{100 * share:.1f}\u202f%'


def _section(heading: str, content: str, kind: str = '') -> str:
    kind = kind and f' class="{kind}"'
    return f'<section{kind}><h2>{_text(heading)}</h2>{content}</section>'


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of HTML; the first column is text, the others are numbers."""
    head = ''.join(f'<th scope="col">{each}</th>' for each in heads)
    body = ''.join(
        f'<tr><th scope="row">{first}</th>'
        + ''.join(f'<td>{each}</td>' for each in rest)
        + '</tr>'
        for first, *rest in rows
    )
    return f'<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _head(summary: dict) -> str:
    quantiles = summary['boxes_per_image']
    images = summary['images']
    relaxed = images - summary['status']['filtered']
    tiles = (
        ('images', _number(images), ''),
        ('boxes', _number(summary['boxes']), ''),
        ('boxes of an image', _number(quantiles['median']), 'median'),
        (
            'images on a fall-back',
            _percent(relaxed / images),
            f'{_number(relaxed)} images',
        ),
        (
            'failures',
            _number(summary['failures']),
            f'{_number(summary["left_out"])} left out',
        ),
    )
    tiles = ''.join(
        f'<div><dt>{name}</dt><dd>{value}</dd><dd class="aside">{aside}</dd></div>'
        for name, value, aside in tiles
    )
    names = dict(
        min='fewest',
        p10='10 % have at most',
        median='50 % have at most',
        p90='90 % have at most',
        max='most',
    )
    quantiles = _table(
        ('images', 'boxes'),
        [(name, _number(quantiles[key])) for key, name in names.items()],
    )
    status = _table(
        ('boxes that an image has', 'images', ''),
        [
            (STATUS_WORDS[key], _number(number), _percent(number / images))
            for key, number in summary['status'].items()
        ],
    )
    return (
        f'<h1>Object proposals</h1><p class="path">'
        f'{_text(summary["store"])}</p>'
        f'<section><dl class="tiles">{tiles}</dl></section>'
        f'<section class="columns">{quantiles}{status}</section>'
    )


def _advice(advice: Sequence[str]) -> str:
    if not advice:
        return _section(
            'Advice',
            '<p>None: nothing in these figures speaks against the parameters.</p>',
            'advice fine',
        )
    # Flags and the values after them look like what one types.
    items = ''.join(
        '<li>'
        + re.sub(r'--[a-z-]+( [\d.]*\d)*', r'<code>\g<0></code>', _text(each))
        + '</li>'
        for each in advice
    )
    return _section('Advice', f'<ul>{items}</ul>', 'advice')


def _recall(recall: dict) -> str:
    found, random = recall['proposals'], recall['random']
    names = {
        'recall_50': 'recall at IoU 0.5',
        'recall_70': 'recall at IoU 0.7',
        'abo': 'average best overlap',
    }
    rows = [['objects'] + [_number(each['objects']) for each in found.values()]]
    for key, name in names.items():
        for label, figures in ((name, found), ('random', random)):
            rows.append(
                [label]
                + [
                    '–' if each[key] is None else f'{each[key]:.3f}'
                    for each in figures.values()
                ]
            )
    table = _table(('', *(SIZE_WORDS[size] for size in found)), rows)
    left_out = [
        f'{_number(number)} annotated images {why}.'
        for number, why in (
            (recall['absent'], 'are not in the store'),
            (
                recall['other_size'],
                'have another size than in the store and are left out',
            ),
        )
        if number
    ] + [escape(f'{line}.') for line in recall.get('account', ())]
    return _section(
        'Annotated objects',
        f'<div class="recall">{table}</div>'
        '<p class="note">An object is found if the IoU of some proposal with '
        'it reaches the threshold; its best overlap is the largest IoU. The '
        'random boxes are as many an image, of the shapes and sizes that the '
        "filter keeps, or the paper's if there is no filter. "
        f'{_number(recall["images"])} annotated images of the store, by '
        f'{_text(recall["annotations"])}. {" ".join(left_out)}</p>',
    )


def _charts(histograms: dict, kept: dict, recall: dict | None) -> str:
    size_bounds, aspect_bounds = [], []
    if kept:
        size_bounds = [(each, f'{each:g}') for each in kept['size_range']]
        limit = kept['max_aspect']
        aspect_bounds = [
            (-np.log2(limit), f'1/{limit:g}'),
            (np.log2(limit), f'{limit:g}'),
        ]

    edges, counts = histograms['number']
    last = (edges[-2] + edges[-1]) / 2
    step = max(1, round_step(edges[-1], 5))
    ticks = [(each, f'{each:g}') for each in np.arange(0, last, step)]
    number = draw_histogram(edges, counts, ticks, 'Boxes of an image')

    edges, counts = histograms['size']
    ticks = [(each / 10, f'{each / 10:g}') for each in range(0, 11, 2)]
    size = draw_histogram(
        edges, counts, ticks, 'Relative size', size_bounds, recall and recall['size'][1]
    )

    edges, counts = histograms['aspect']
    series = [counts, recall['aspect'][1]] if recall else [counts]
    edges, series = _crop(edges, series, [place for place, _ in aspect_bounds])
    ticks = [
        (power, f'{2**power}' if power >= 0 else f'1/{2**-power}')
        for power in range(-5, 6)
    ]
    aspect = draw_histogram(
        edges, series[0], ticks, 'Aspect ratio', aspect_bounds, *series[1:]
    )

    dashed = ' Dashed: what is kept.' if kept else ''
    figures = (
        (number, 'Boxes of an image. The last bar has all images with more.'),
        (size, f'Relative size, √(wh) / √(WH).{dashed}'),
        (aspect, f'Aspect ratio, w / h, on a logarithmic scale.{dashed}'),
    )
    charts = ''.join(
        f'<figure>{svg}<figcaption>{caption}</figcaption></figure>'
        for svg, caption in figures
    )
    key = (
        '<p class="note"><span class="key bars"></span>proposals'
        '<span class="key steps"></span>annotated objects</p>'
        if recall
        else ''
    )
    return _section(
        'Number, size and shape of the boxes',
        f'{key}<div class="charts">{charts}</div>',
    )


def _crop(
    edges: np.ndarray, series: Sequence[np.ndarray], places: Sequence[float]
) -> tuple:
    """Leave out empty bins at the ends, keep some places in sight."""
    used = np.flatnonzero(sum(series))
    bins = np.searchsorted(edges, places).tolist()
    first = max(0, min([used[0], *bins]) - 2)
    last = min(len(edges) - 1, max([used[-1], *bins]) + 3)
    return edges[first : last + 1], [each[first:last] for each in series]


def _failures(summary: dict) -> str:
    rows = ''.join(
        f'<li>{_text(each["image"])} {_text(each["reason"])}</li>'
        for each in summary['first_failures']
    )
    more = summary['failures'] - len(summary['first_failures'])
    more = (
        f'<p class="note">And {_number(more)} more: '
        'see failures.jsonl in the store.</p>'
        if more
        else ''
    )
    return _section('Failures', f'<ul>{rows}</ul>{more}')


def _parameters(parameters: dict[str, dict]) -> str:
    tables = ''
    for heading, values in parameters.items():
        rows = [(_text(name), _value(value)) for name, value in values.items()]
        tables += _table((_text(heading), ''), rows or [('none', 'every box is kept')])
    return _section('Parameters', f'<div class="columns settings">{tables}</div>')


def _value(value) -> str:
    if isinstance(value, (list, tuple)):
        return ', '.join(map(_value, value))
    return '–' if value is None else _text(value)


def _gallery(heading: str, pictures: Sequence[Picture]) -> str:
    figures = []
    for picture in pictures:
        name = _text(picture.path)
        if picture.jpeg:
            data = base64.b64encode(picture.jpeg).decode()
            shown = (
                f'<img alt="{name} with its boxes" src="data:image/jpeg;base64,{data}">'
            )
        else:
            shown = f'<div class="missing">{_text(picture.problem)}</div>'
        number = '1 box' if picture.boxes == 1 else f'{picture.boxes} boxes'
        if picture.jpeg and picture.boxes > DRAWN_BOXES:
            number += f', {DRAWN_BOXES} drawn'
        figures.append(
            f'<figure>{shown}<figcaption>{name}<br>{number}</figcaption></figure>'
        )
    return _section(heading, f'<div class="pictures">{"".join(figures)}</div>')
