from .boxes import BoxCutout, BoxJitter, SelectProposals
from .formatting import PackViews
from .loading import LoadStretchedImage
from .photometric import (
    ViewColorJitter,
    ViewGaussianBlur,
    ViewRandomGrayscale,
    ViewSolarize,
)
from .views import ConstructViews, LoadImage, ViewRandomFlip

__all__ = [
    'BoxCutout',
    'BoxJitter',
    'ConstructViews',
    'LoadImage',
    'LoadStretchedImage',
    'PackViews',
    'SelectProposals',
    'ViewColorJitter',
    'ViewGaussianBlur',
    'ViewRandomFlip',
    'ViewRandomGrayscale',
    'ViewSolarize',
]
