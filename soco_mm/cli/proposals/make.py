"""The command ``proposals make``, which ``proposals`` is short for."""

import argparse
import os

from soco_mm.cli.common import natural, number, positive
from soco_mm.errors import UsageError, did_you_mean

from .arguments import add_filter, add_fit, add_preset, add_root, add_stretch


def add_make(commands) -> argparse.ArgumentParser:
    """Add the command ``proposals make``."""
    parser = commands.add_parser(
        'make',
        # As it is typed.
        prog='soco-mm proposals',
        help='make the object proposals of images',
        description='Make the object proposals of images. A run that was stopped '
        'continues when the same command is given again.',
    )
    parser.add_argument(
        'images',
        nargs='+',
        metavar='IMAGES',
        help='one or more folders of images, which may be nested; a text file with '
        'one path per line; or a COCO json',
    )
    add_root(parser)
    parser.add_argument(
        '--out', required=True, metavar='STORE', help='the folder to write'
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='make all again and replace STORE'
    )
    parser.add_argument(
        '--retry-failed',
        action='store_true',
        help='try again the images that failed before',
    )
    parser.add_argument(
        '--workers',
        type=positive,
        metavar='N',
        help='number of processes (default: one per core)',
    )
    add_fit(parser)
    add_preset(parser)
    parser.add_argument(
        '--method',
        default='selective-search',
        metavar='METHOD',
        help='selective-search; edge-boxes; union for the boxes of both; rpn for those '
        'of a pretraining; random for random boxes of the shapes that the filter '
        'keeps; whole for the whole image; or the import path of a class, such as '
        'my_module.MyGenerator (default: %(default)s)',
    )
    add_search(parser)
    add_edges(parser)
    parser.add_argument(
        '--checkpoint',
        metavar='FILE',
        help='with --method rpn: the checkpoint of a pretraining whose model has an '
        'rpn_head; the 100 best boxes are taken, or --max-boxes',
    )

    kept = parser.add_argument_group('which boxes are kept')
    add_filter(kept, auto=True)
    kept.add_argument(
        '--max-boxes',
        type=positive,
        metavar='N',
        help='keep at most N boxes per image, drawn at random; with --method random '
        'draw N, with edge-boxes and rpn take the N best (default: all; random 32, '
        'edge-boxes 500, rpn 100)',
    )
    kept.add_argument(
        '--seed',
        type=natural,
        metavar='N',
        help='seed of all random numbers (default: 0)',
    )

    limits = parser.add_argument_group(
        'limits per image',
        'An image beyond a limit does not stop the others; it is listed in '
        'STORE/failures.jsonl.',
    )
    limits.add_argument(
        '--max-pixels',
        type=positive,
        metavar='N',
        help='largest width times height (default: 100000000)',
    )
    limits.add_argument(
        '--timeout',
        type=number,
        metavar='SECONDS',
        help='longest time (default: 60)',
    )

    add_stretch(parser)
    many = parser.add_argument_group('several machines')
    many.add_argument(
        '--shard',
        type=shard,
        metavar='I/N',
        help='make part I of N, from 1/N to N/N, in any order and anywhere; then '
        'join them with "soco-mm proposals merge"',
    )
    many.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm'],
        default='none',
        help='what started the processes, of which each makes its shard in '
        'STORE.shards; set by tools/dist_proposals.sh and tools/slurm_proposals.sh '
        '(default: %(default)s)',
    )
    parser.set_defaults(function=make)
    return parser


def add_search(parser) -> None:
    """Add the arguments of selective search."""
    search = parser.add_argument_group('selective search')
    search.add_argument(
        '--scale',
        type=number,
        metavar='S',
        help='larger gives fewer and larger segments (default: 500; released: 300; '
        'fast: 100; with --max-side it follows the square of the side)',
    )
    search.add_argument(
        '--sigma',
        type=number,
        metavar='PIXELS',
        help='width of the Gaussian that smooths the image first (default: 0.9)',
    )
    search.add_argument(
        '--min-size',
        type=positive,
        metavar='PIXELS',
        help='area of the smallest segment (default: 10; released: 100)',
    )
    search.add_argument(
        '--max-side',
        type=positive,
        metavar='PIXELS',
        help='reduce images with a longer side to it first (default: 500; fast: 160)',
    )
    search.add_argument(
        '--color-space',
        choices=['hsv', 'lab', 'rgb', 'gray'],
        help='colour space of the search (default: hsv)',
    )
    search.add_argument(
        '--similarities',
        nargs='+',
        choices=['color', 'fill', 'texture', 'size'],
        help='measures by which segments are merged (default: all four)',
    )


def add_edges(parser) -> None:
    """Add the arguments of edge boxes."""
    edges = parser.add_argument_group(
        'edge boxes', '--max-side (default: 320) and --min-size (default: 20) too.'
    )
    edges.add_argument(
        '--edge-model',
        metavar='FILE',
        help='a structured-edge model of OpenCV, such as model.yml.gz of opencv_extra '
        "(default: the image's gradients are the edges)",
    )


def shard(text: str) -> tuple[int, int]:
    """Read I/N, for an argument parser."""
    try:
        index, count = map(int, text.split('/'))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'must be I/N, such as 1/4, but is {text}'
        ) from None
    if not 1 <= index <= count:
        raise argparse.ArgumentTypeError(f'I must be from 1 to N, but it is {text}')
    return index, count


def launched_shard(launcher: str) -> tuple[int, int] | None:
    """The shard of this process."""
    if launcher == 'none':
        return None
    names = dict(
        pytorch=('RANK', 'WORLD_SIZE'), slurm=('SLURM_PROCID', 'SLURM_NTASKS')
    )[launcher]
    try:
        rank, count = (int(os.environ[name]) for name in names)
    except KeyError as error:
        raise UsageError(
            f'--launcher {launcher} needs the variable '
            f'{error.args[0]}, which the launcher sets.'
        ) from None
    return rank + 1, count


def refuse_misspelt_command(images: list[str]) -> None:
    """Refuse ``proposals merg ...``, where there are no such images.

    Raises:
        UsageError: If the first argument is nearly the name of a command.
    """
    meant = did_you_mean(images[0], ('make', 'merge', 'report', 'import', 'export'))
    if meant and not os.path.lexists(images[0]):
        raise UsageError(f'There are no images {images[0]}.{meant}')


def make(args: argparse.Namespace) -> None:
    """Run the command ``proposals make``."""
    from soco_mm.log import logger
    from soco_mm.proposals import build_settings, make_proposals
    from soco_mm.proposals.fitting import explain_fit, fit_settings
    from soco_mm.proposals.listing import list_input
    from soco_mm.proposals.presets import SETTINGS
    from soco_mm.utils.cores import usable_cores
    from soco_mm.utils.texts import printable

    refuse_misspelt_command(args.images)
    out = os.path.normpath(args.out)
    workers, part = args.workers, args.shard
    if launched := launched_shard(args.launcher):
        if part:
            raise UsageError('--shard and --launcher exclude each other.')
        part = launched
        out = f'{out}.shards/{part[0]}-of-{part[1]}'
        if workers is None:
            here = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
            workers = max(1, usable_cores() // here)
    given = {key: getattr(args, key) for key in SETTINGS}
    if given['size_range'] == 'auto':
        if args.ann is None:
            raise UsageError(
                '--size-range auto needs a few annotated objects: the sizes of '
                'segments do not tell those of objects. Give --ann ANN, or two numbers.'
            )
        given['size_range'] = None  # derived
    images = list_input(args.images, args.root, [os.path.abspath(out)])
    if args.ann is None:
        settings = build_settings(args.preset, args.method, **given)
    else:
        settings = fit_settings(args.ann, images, args.preset, args.method, **given)
    for note in [*images.notes, *explain_fit(settings)]:
        logger.info(printable(note))
    summary = make_proposals(
        images,
        out,
        settings=settings,
        num_workers=workers,
        shard=part,
        overwrite=args.overwrite,
        retry_failed=args.retry_failed,
    )
    print(summary.describe(), flush=True)
