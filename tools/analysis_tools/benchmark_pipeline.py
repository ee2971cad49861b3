"""Measure the data pipeline on one core: images/s and its shares, as JSON.

Images are 500x375 JPEGs, cut from real photos; each sample goes through the
pipeline of the config. A plain OpenCV pipeline without boxes (decode, resize,
crop, flip, blur) runs in turn with it, so that the ratio between the two
holds on a noisy machine.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).parents[2]
WIDTH, HEIGHT = 500, 375


def write_images(source: Path, folder: Path, number: int) -> list:
    """Cut JPEGs of one size from the images in a folder."""
    rng = np.random.default_rng(0)
    photos = [
        image
        for image in (cv2.imread(str(path)) for path in sorted(source.iterdir()))
        if image is not None
    ]
    paths = []
    for index in range(number):
        photo = photos[index % len(photos)]
        factor = 1.2 * max(WIDTH / photo.shape[1], HEIGHT / photo.shape[0])
        photo = cv2.resize(photo, None, fx=factor, fy=factor)
        left = rng.integers(photo.shape[1] - WIDTH + 1)
        top = rng.integers(photo.shape[0] - HEIGHT + 1)
        paths.append(folder / f'{index}.jpg')
        cv2.imwrite(
            str(paths[-1]),
            photo[top : top + HEIGHT, left : left + WIDTH],
            [cv2.IMWRITE_JPEG_QUALITY, 92],
        )
    return paths


def plain_opencv(path: Path) -> None:
    """Three views by plain OpenCV calls, without boxes."""
    view1 = cv2.resize(cv2.imread(str(path)), (224, 224))
    view2 = cv2.resize(view1[20:200, 20:200], (224, 224))
    view3 = cv2.resize(view2, (112, 112))
    for view in (view1, view2, view3):
        hsv = cv2.cvtColor(cv2.flip(view, 1), cv2.COLOR_BGR2HSV)
        cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    cv2.GaussianBlur(view1, (0, 0), 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--config',
        default=str(ROOT / 'configs/soco/soco_r50_fpn_100e.py'),
        help='file of a config (default: soco_r50_fpn_100e)',
    )
    parser.add_argument(
        '--images',
        type=Path,
        default=ROOT / 'demo/images',
        help='folder of photos to make images of (default: demo/images)',
    )
    parser.add_argument(
        '--number', type=int, default=200, help='images of a round (default: 200)'
    )
    parser.add_argument(
        '--rounds',
        type=int,
        default=5,
        help='measured rounds after a warm-up, of which medians are taken (default: 5)',
    )
    args = parser.parse_args()

    from mmengine.config import Config

    from soco_mm.datasets.sampler import sample_rng
    from soco_mm.registry import TRANSFORMS

    cv2.setNumThreads(1)
    cfg = Config.fromfile(args.config)
    transforms = [
        TRANSFORMS.build(transform)
        for transform in cfg.train_dataloader.dataset.pipeline
    ]
    shares = dict.fromkeys((type(transform).__name__ for transform in transforms), 0.0)
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 0.5, (30, 2)) * (WIDTH, HEIGHT)
    proposals = np.concatenate(
        [corner, (*corner, WIDTH * 0.4, HEIGHT * 0.4)], 1
    ).astype(np.float32)
    ours, plain = [], []
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(args.images, Path(folder), args.number)
        for turn in range(args.rounds + 1):  # the first one warms up
            started = time.perf_counter()
            for path in paths:
                plain_opencv(path)
            plain.append(time.perf_counter() - started)
            spent = dict.fromkeys(shares, 0.0)
            started = time.perf_counter()
            for index, path in enumerate(paths):
                sample = dict(
                    img_path=str(path),
                    proposals=proposals,
                    rng=sample_rng(0, turn, index),
                )
                for transform in transforms:
                    begun = time.perf_counter()
                    sample = transform(sample)
                    spent[type(transform).__name__] += time.perf_counter() - begun
            ours.append(time.perf_counter() - started)
            if turn:
                for name, seconds in spent.items():
                    shares[name] += seconds
    ours, plain = ours[1:], plain[1:]
    total = sum(shares.values())
    groups = dict(decode=0.0, views_and_boxes=0.0, photometric=0.0, pack=0.0)
    for name, seconds in shares.items():
        group = (
            'decode'
            if name == 'LoadImage'
            else 'pack'
            if name == 'PackViews'
            else 'views_and_boxes'
            if name
            in ('ConstructViews', 'SelectProposals', 'BoxJitter', 'ViewRandomFlip')
            else 'photometric'
        )
        groups[group] += seconds / total
    print(
        json.dumps(
            dict(
                config=Path(args.config).name,
                images=args.number,
                rounds=args.rounds,
                size=[WIDTH, HEIGHT],
                images_per_second=round(args.number / statistics.median(ours), 1),
                images_per_second_min=round(args.number / max(ours), 1),
                images_per_second_max=round(args.number / min(ours), 1),
                plain_opencv_images_per_second=round(
                    args.number / statistics.median(plain), 1
                ),
                speed_to_plain_opencv=round(
                    statistics.median(b / a for a, b in zip(ours, plain)), 2
                ),
                shares={k: round(v, 3) for k, v in groups.items()},
                milliseconds={
                    k: round(1000 * v / args.rounds / args.number, 3)
                    for k, v in shares.items()
                },
            ),
            indent=1,
        )
    )


if __name__ == '__main__':
    main()
