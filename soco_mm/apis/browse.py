import os
import re
from pathlib import Path

from soco_mm.engine.config import load_config
from soco_mm.engine.levels import BoxLevels
from soco_mm.engine.preview import build_dataset, drawn_views
from soco_mm.log import logger
from soco_mm.utils import (
    ImageError,
    SoCoError,
    UsageError,
    atomic_write,
    make_writable,
    write_json,
)
from soco_mm.utils.claim import claim
from soco_mm.utils.image_files import BROWSE
from soco_mm.utils.texts import printable
from soco_mm.visualization import describe_view, draw_sample, render_gallery, write_png
from soco_mm.visualization.pages import is_page

from .results import BrowseResult

INDEX = 'index.html'
NAME_BYTES = 200  # of the name of a picture; most file systems allow 255


def browse(
    config: str | Path,
    out: str | Path | None = None,
    *,
    num_images: int = 20,
    start: int = 0,
    epoch: int = 0,
    options: dict | None = None,
) -> BrowseResult:
    """Draw what training will see, from its own data pipeline.

    One picture per image: its proposals, then its views side by side, the
    same object in the same colour, with the pyramid level written at each
    box; proposals that do not count in a view are dashed. An HTML page shows
    all pictures.

    Args:
        config (str | Path): The config of the training, or its name under
            ``configs/soco``.
        out (str | Path, optional): The folder to write. Defaults to None,
            ``work_dirs/browse/NAME_OF_CONFIG``.
        num_images (int): How many images to draw. Defaults to 20.
        start (int): Index of the first image. Defaults to 0.
        epoch (int): The epoch to draw, from 0. Defaults to 0.
        options (dict, optional): Values of the config to set, by dotted key.
            Defaults to None.

    Returns:
        BrowseResult: The pictures and the page.

    Raises:
        UsageError: If there are fewer images than ``start``, ``out`` holds
            something else, or it cannot be written.
        SoCoError: If the data set or the model of the config cannot be built,
            or none of the images can be read.
    """
    cfg = load_config(config, options)
    out = Path(out or Path('work_dirs/browse', Path(config).stem))
    dataset = build_dataset(cfg)
    if start >= len(dataset):
        raise UsageError(
            f'The first image is number {start}, but there are '
            f'{len(dataset)}, numbered from 0.'
        )
    levels = BoxLevels(cfg)
    claim_pictures(out)
    made: list[Path] = []
    entries = []
    for index in range(start, min(start + num_images, len(dataset))):
        try:
            info = dataset.load_image(index)
        except ImageError as error:
            path = dataset.get_data_info(index)['img_path']
            logger.info(f'{printable(path)} {error}')
            continue
        sample = dataset[epoch * len(dataset) + index]
        views = drawn_views(sample, levels.names(sample, info['image'].shape[1::-1]))
        if not made:  # by which it is known as a folder of pictures
            write_json(out / BROWSE, dict(config=str(config), epoch=epoch))
        path = out / picture_name(index, info['img_path'])
        write_png(path, draw_sample(info['image'], info['proposals'], views))
        made.append(path)
        name = os.path.relpath(info['img_path'], dataset.data_root)
        entries.append(
            (
                path.name,
                f'{index}: {printable(name)}',
                '; '.join(describe_view(*each) for each in enumerate(views, 1)),
            )
        )
    if not made:
        raise SoCoError(
            f'None of the images in {dataset.data_root} can be '
            'read. Set train_dataloader.dataset.data_root to the '
            'folder that the proposals were made of.'
        )
    page = render_gallery(
        f'What {printable(Path(config).stem)} sees',
        f'Images of {printable(str(dataset.data_root))} in epoch {epoch}: '
        'some of the proposals, then the views after all augmentation. An '
        'object has one colour in all views. The label of a box is the pyramid '
        f'level that its features come from, if the model has several{levels.text()}. '
        'Dashed boxes do not count in that view.',
        entries,
    )
    atomic_write(out / INDEX, page)
    return BrowseResult(page=out / INDEX, pictures=made)


def claim_pictures(out: Path) -> None:
    """Take a folder for pictures, which among images would be trained on.

    Raises:
        UsageError: If it holds something else, or cannot be written.
    """
    claim(out, 'a folder of browse', is_own, in_place=True)
    make_writable(out)


def is_own(folder: Path) -> bool:
    """Whether a folder holds pictures of this command."""
    page = folder / INDEX  # alone, of earlier versions
    return (folder / BROWSE).is_file() or (page.is_file() and is_page(page))


def picture_name(index: int, path: str) -> str:
    """Name of a picture: the image's, without characters that file systems refuse."""
    stem = re.sub(r'[^\w.-]+', '_', printable(Path(path).stem))
    stem = stem.encode()[:NAME_BYTES].decode(errors='ignore')
    return f'{index:06d}_{stem}.png'
