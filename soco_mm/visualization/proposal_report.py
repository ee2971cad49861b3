"""The HTML report on proposals."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from soco_mm.proposals import ProposalSummary

from .pages import number, percent, render
from .proposal_charts import draw_charts
from .proposal_galleries import DRAWN_BOXES, Picture

QUANTILE_WORDS = dict(
    min='fewest',
    p10='10 % have at most',
    median='50 % have at most',
    p90='90 % have at most',
    max='most',
)
STATUS_WORDS = dict(
    filtered='as the filter keeps them',
    aspect_only='of the shape, of any size',
    min_side_only='of any size and shape',
    whole_image='the whole image',
)
SIZE_WORDS = dict(
    all='all',
    small=Markup('small,<br>&lt;\u00a032²\u00a0px'),
    medium=Markup('medium,<br>&lt;\u00a096²\u00a0px'),
    large='large',
)
RECALL_WORDS = dict(
    recall_50='recall at IoU 0.5',
    recall_70='recall at IoU 0.7',
    abo='average best overlap',
)

CLASS_WORDS = dict(
    recall_50='recall at IoU 0.5',
    random_50='random',
    recall_70='recall at IoU 0.7',
    random_70='random',
    abo='average best overlap',
)
MOST_CLASSES = 30  # in the table


def render_report(
    summary: ProposalSummary,
    parameters: dict[str, dict],
    histograms: Mapping[str, tuple],
    advice: Sequence[str],
    recall: dict | None = None,
    galleries: Mapping[str, Sequence[Picture]] | None = None,
    note: str = '',
) -> str:
    """Write the page: HTML that needs no other file.

    Args:
        summary (ProposalSummary): The figures of the store.
        parameters (dict): Names and values under ``generator``, ``filter``
            (empty if every box was kept) and other headings.
        histograms (dict): ``number``, ``size`` and ``aspect``, edges and
            counts; the edges of the last are log2 of the ratio.
        advice (Sequence[str]): Sentences.
        recall (dict, optional): ``proposals`` and ``random``, as
            :func:`soco_mm.proposals.recall.measure_recall` returns them;
            ``size`` and ``aspect``, histograms of the objects with the edges
            of those above; ``annotations`` (their file), ``images``,
            ``absent``, ``other_size``; ``account``, lines on objects that
            were left out; and ``classes``, see
            :func:`soco_mm.proposals.recall.recall_by_class`. Defaults to None.
        galleries (dict, optional): Pictures by their headings. Defaults to
            None.
        note (str): A sentence instead of the pictures. Defaults to an empty
            string.

    Returns:
        str: The page.
    """
    return render(
        'proposal_report.html.j2',
        summary=summary,
        quantiles=[
            (words, number(summary.boxes_per_image[key]))
            for key, words in QUANTILE_WORDS.items()
        ],
        status=[
            (STATUS_WORDS[key], number(count), percent(count / summary.images))
            for key, count in summary.status.items()
        ],
        advice=advice,
        recall=recall and _recall(recall),
        charts=draw_charts(histograms, parameters['filter'], recall),
        galleries=galleries or {},
        drawn_boxes=DRAWN_BOXES,
        note=note,
        parameters={
            heading: {name: _value(value) for name, value in values.items()}
            for heading, values in parameters.items()
        },
    )


def _value(value):
    """A parameter as text; lists become a line."""
    if isinstance(value, (list, tuple)):
        return ', '.join(str(_value(each)) for each in value)
    return '–' if value is None else value


def _recall(recall: dict) -> dict:
    """The table of what was found, and what was left out."""
    found, random = recall['proposals'], recall['random']
    rows = [['objects', *(number(each['objects']) for each in found.values())]]
    for key, words in RECALL_WORDS.items():
        for label, figures in ((words, found), ('random', random)):
            values = [each[key] for each in figures.values()]
            rows.append(
                [label, *('–' if each is None else f'{each:.3f}' for each in values)]
            )
    classes = recall.get('classes') or {}
    left_out = {
        'are not in the store': recall['absent'],
        'have another size than in the store and are left out': recall['other_size'],
    }
    return dict(
        heads=['', *(SIZE_WORDS[size] for size in found)],
        rows=rows,
        class_heads=['class', 'objects', *CLASS_WORDS.values()],
        classes=[
            [
                name,
                number(each['objects']),
                *(f'{each[key]:.3f}' for key in CLASS_WORDS),
            ]
            for name, each in [*classes.items()][:MOST_CLASSES]
        ],
        more_classes=max(0, len(classes) - MOST_CLASSES),
        images=recall['images'],
        annotations=recall['annotations'],
        left_out=[
            *(
                f'{number(count)} annotated images {why}.'
                for why, count in left_out.items()
                if count
            ),
            *(f'{line}.' for line in recall.get('account', ())),
        ],
    )
