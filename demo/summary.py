"""Print what tools/quickstart.sh has made, and check that it is all there."""

import json
import sys
from pathlib import Path


def last_value(scalars: list, key: str) -> str:
    """The last value of a scalar, for a table."""
    values = [row[key] for row in scalars if key in row]
    return f'{values[-1]:.3f}' if values else '?'


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
    detector = sorted((run / 'mask_rcnn').glob('*/vis_data/scalars.json'))
    scalars = read_scalars(detector[-1])
    filled = ', '.join(
        f'{name} {len(part["filled"])}/{part["total"]}'
        for name, part in report['parts'].items()
    )
    tenth = max(1, len(losses) // 10)
    first, last = (sum(part) / tenth for part in (losses[:tenth], losses[-tenth:]))
    rows = (
        (
            'proposals',
            f'{header["num_boxes"]} boxes of {header["num_images"]} photos',
            'proposals/',
        ),
        ('picture', 'proposals, and one object in all its views', 'preview.png'),
        (
            'pretraining',
            f'loss - loss_floor from {first:.2f} to {last:.2f}',
            'checkpoints/',
        ),
        ('hand-off', f'tensors filled: {filled}', 'exported/'),
        (
            'Mask R-CNN',
            f'box AP {last_value(scalars, "coco/bbox_mAP")}, mask '
            f'AP {last_value(scalars, "coco/segm_mAP")} on the same photos',
            'mask_rcnn/',
        ),
    )
    print(f'\nWhat was made, in {run}:')
    for what, figures, where in rows:
        print(f'  {what:12s} {where:14s} {figures}')
    print(f'\nLook at {run / "preview.png"}.')
    if not last < first:
        sys.exit(
            'ERROR: the loss of the pretraining did not come nearer to '
            'its floor (loss - loss_floor in vis_data/scalars.json).'
        )


if __name__ == '__main__':
    main()
