from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from torch.utils.data import Dataset

from soco_mm.engine.config import building
from soco_mm.registry import DATASETS
from soco_mm.utils import ImageError, SoCoError
from soco_mm.visualization import DrawnView, draw_overview, write_png

SHOWN = 5  # images of a preview, evenly picked


def build_dataset(cfg: Config) -> Dataset:
    """Build the data set of a training, with the same random numbers.

    Args:
        cfg (Config): The config of the training.

    Returns:
        Dataset: The data set.

    Raises:
        SoCoError: If the config has none, or one with wrong parameters; or the
            proposals cannot be read.
    """
    with building('a data set (train_dataloader.dataset)'):
        data = cfg.train_dataloader.dataset.copy()
        seed = cfg.get('randomness', {}).get('seed')
        if seed is not None:
            data.setdefault('seed', seed)
        return DATASETS.build(data)


def draw_preview(cfg: Config, path: str | Path) -> Path:
    """Draw what training will see: proposals, and an object in all views.

    Args:
        cfg (Config): The config of the training.
        path (str | Path): The PNG file to write.

    Returns:
        Path: The file.

    Raises:
        SoCoError: If the data set cannot be built, or none of the images can
            be read.
    """
    dataset = build_dataset(cfg)
    samples = []
    step = max(1, len(dataset) // SHOWN)
    for index in range(0, len(dataset), step)[:SHOWN]:
        try:
            info = dataset.load_image(index)
        except ImageError:  # deleted since the proposals were made
            continue
        sample = dataset[index]
        samples.append(
            dict(
                image=info['image'],
                proposals=info['proposals'],
                views=[view.numpy() for view in sample['views']],
                boxes=[boxes.numpy() for boxes in sample['boxes']],
                valid=[valid.numpy() for valid in sample['valid']],
            )
        )
    if not samples:
        raise SoCoError(f'The images in {dataset.data_root} cannot be read any more.')
    write_png(path, draw_overview(samples))
    return Path(path)


def drawn_views(sample: dict, levels: Sequence[Sequence[str]]) -> list[DrawnView]:
    """The views of a sample as they are drawn.

    Args:
        sample (dict): A sample of the data set, with ``views``, ``boxes`` and
            ``valid``.
        levels (Sequence): What is written at each box of each view, see
            :meth:`BoxLevels.names`.

    Returns:
        list[DrawnView]: One per view.
    """
    return [
        DrawnView(view.numpy(), boxes.numpy(), valid.numpy(), names)
        for view, boxes, valid, names in zip(
            sample['views'], sample['boxes'], sample['valid'], levels
        )
    ]
