"""The same reduction to 8 bits for proposals and training."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from soco_mm.proposals import ProposalStore
from soco_mm.utils import UsageError
from soco_mm.utils.stretch import Stretch, as_percentiles, load_images


def choose_stretch(
    cfg: Config,
    stretch: Sequence[float] | None = None,
    proposals: str | Path | None = None,
) -> Stretch:
    """Let a pretraining read images as when proposals were made; in place.

    Args:
        cfg (Config): The config of the pretraining.
        stretch (Sequence[float], optional): The percentiles to use. Defaults
            to None: those of the config, else of the proposals.
        proposals (str | Path, optional): Existing proposals. Defaults to
            None.

    Returns:
        tuple: The percentiles; None if images are not stretched.

    Raises:
        UsageError: If they are not percentiles, the proposals were made with
            others, or the config does not read images with ``LoadImage``.
        SoCoError: If the proposals cannot be read.
    """
    loaders = list(load_images(cfg.train_dataloader.dataset.get('pipeline')))
    if stretch is None and loaders:
        stretch = loaders[0].get('stretch')
    stretch = as_percentiles(stretch)
    if proposals is not None:
        header = ProposalStore.open(proposals).header
        made = as_percentiles(header.get('stretch'))
        if stretch is None:
            stretch = made
        # Boxes from other tools are for the images as they are.
        elif stretch != made and header['generator']['type'] != 'Imported':
            flags = '--stretch {:g} {:g}'
            how = f'with {flags.format(*made)}, not' if made else 'without'
            raise UsageError(
                f'The proposals in {proposals} were made {how} '
                f'{flags.format(*stretch)}. Make them again, or '
                'leave it out.'
            )
    if stretch is not None:
        if not loaders:
            raise UsageError(
                'The pipeline of the config has no LoadImage, so '
                'that --stretch does nothing. Leave it out.'
            )
        for each in loaders:
            each['stretch'] = stretch
    return stretch
