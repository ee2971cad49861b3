"""How images are to be normalised where a library takes ImageNet's statistics."""

from collections.abc import Mapping

from .architecture import MEAN, STD, pixel_statistics

# What to set there. detectron2 reads it from the file beside the weights.
SETTINGS = {
    'torchvision': 'build the detector with image_mean={mean}, image_std={std}',
    'timm': 'normalise images with mean={mean}, std={std}',
    'mmpretrain': 'set data_preprocessor=dict(mean={mean}, std={std}, to_rgb={rgb})',
    'safetensors': (
        'set model.data_preprocessor of the detector: mean={mean}, std={std}, '
        'bgr_to_rgb={rgb}'
    ),
}
FROM_0_TO_1 = ('torchvision', 'timm')
TOLERANCE = 0.5  # of 255, which no feature shows


def pixel_note(model: Mapping, library: str) -> str:
    """What to set so that images are normalised as in the pretraining.

    Args:
        model (Mapping): The ``model`` of the pretraining's config.
        library (str): Its name.

    Returns:
        str: A space and a sentence; empty if it was done with ImageNet's
        statistics, or the library gets a file that says so.

    Example:
        >>> from soco_mm.checkpoint.libraries.pixels import pixel_note
        >>> model = dict(data_preprocessor=dict(mean=[51] * 3, std=[255] * 3))
        >>> pixel_note(model, 'timm').partition(': ')[2]
        'normalise images with mean=[0.2, 0.2, 0.2], std=[1.0, 1.0, 1.0].'
    """
    pixels = pixel_statistics(model)
    usual = pixels['bgr_to_rgb'] and all(
        abs(ours - theirs) <= TOLERANCE
        for ours, theirs in zip([*pixels['mean'], *pixels['std']], [*MEAN, *STD])
    )
    if usual or library not in SETTINGS:
        return ''
    scale = 255 if library in FROM_0_TO_1 else 1
    mean, std = ([round(x / scale, 5) for x in pixels[key]] for key in ('mean', 'std'))
    what = SETTINGS[library].format(mean=mean, std=std, rgb=pixels['bgr_to_rgb'])
    return (
        f" It was not pretrained with ImageNet's mean and standard deviation: {what}."
    )
