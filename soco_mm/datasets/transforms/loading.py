from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.fileio import get

from soco_mm.registry import TRANSFORMS
from soco_mm.utils import ImageError, SoCoError
from soco_mm.utils.image import decode_image
from soco_mm.utils.stretch import as_percentiles


@TRANSFORMS.register_module()
class LoadStretchedImage(BaseTransform):
    """Read ``img_path`` as pretraining with ``--stretch`` does.

    For detectors, instead of ``LoadImageFromFile``: adds ``img``, BGR,
    (H, W, 3), ``img_shape`` and ``ori_shape``.

    Args:
        stretch (Sequence[float]): The percentiles of an image of more than 8
            bits that become 0 and 255, see
            :func:`soco_mm.utils.stretch.reduce_depth`.
        to_float32 (bool): Whether the image is float32, not uint8. Defaults
            to False.
        backend_args (dict, optional): Arguments of MMEngine's file backend.
            Defaults to None.

    Raises:
        SoCoError: If the image cannot be read.
    """

    def __init__(
        self,
        stretch: Sequence[float],
        to_float32: bool = False,
        backend_args: dict | None = None,
    ) -> None:
        self.stretch = as_percentiles(stretch)
        self.to_float32 = to_float32
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Read the image."""
        path = results['img_path']
        try:
            data = get(path, backend_args=self.backend_args)
            image = decode_image(np.frombuffer(data, np.uint8), self.stretch)
        except ImageError as error:
            raise SoCoError(f'{path} {error}.') from None
        except OSError as error:
            raise SoCoError(f'{path} cannot be read ({error.strerror}).') from None
        image = np.ascontiguousarray(image[..., ::-1])
        if self.to_float32:
            image = image.astype(np.float32)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(stretch={self.stretch}, '
            f'to_float32={self.to_float32}, '
            f'backend_args={self.backend_args})'
        )
