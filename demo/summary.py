"""Print what tools/quickstart.sh has made, and check that it is all there."""

import json
import shlex
import sys
from pathlib import Path


def read_scalars(path: Path) -> list:
    """Read a file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def main() -> None:
    run = Path(sys.argv[1])
    header = json.loads((run / 'proposals/header.json').read_text())
    scalars = read_scalars(run / 'vis_data/scalars.json')
    # How far the loss is below that of the best constant prediction.
    losses = [row['loss'] - row['loss_floor'] for row in scalars]
    report = json.loads((run / 'exported/report.json').read_text())
    metrics = json.loads((run / 'detector/metrics.json').read_text())
    picture = run / 'detector/predictions.png'
    filled = ', '.join(
        f'{name} {len(part["filled"])}/{part["total"]}'
        for name, part in report['parts'].items()
    )
    tenth = max(1, len(losses) // 10)
    first, last = (sum(part) / tenth for part in (losses[:tenth], losses[-tenth:]))
    config = next((run / 'exported').glob('*.py'))
    rows = (
        (
            f'{header["num_boxes"]} proposals of {header["num_images"]} photos',
            f'soco-mm proposals report {shlex.quote(str(run / "proposals"))}',
        ),
        (
            'proposals, and one object in all its views',
            f'xdg-open {shlex.quote(str(run / "preview.png"))}',
        ),
        (
            f'pretraining: loss above its floor from {first:.2f} to {last:.2f}',
            f'less {shlex.quote(str(run / "vis_data/scalars.json"))}',
        ),
        (
            f'detector config; tensors filled: {filled}',
            f'less {shlex.quote(str(config))}',
        ),
        (
            f'Mask R-CNN: box AP {100 * metrics["coco/bbox_mAP"]:.1f}, mask AP '
            f'{100 * metrics["coco/segm_mAP"]:.1f} on the photo it learnt',
            f'less {shlex.quote(str(run / "detector/metrics.json"))}',
        ),
        ('what it detects', f'xdg-open {shlex.quote(str(picture))}'),
    )
    for what, command in rows:
        print(f'  {command:62s} # {what}')
    if not picture.is_file():
        sys.exit(f'ERROR: there is no {picture}.')
    if not last < first:
        sys.exit(
            'ERROR: the loss of the pretraining did not come nearer to '
            'its floor (loss - loss_floor in vis_data/scalars.json).'
        )


if __name__ == '__main__':
    main()
