from collections.abc import Sequence

import torch
from mmengine.model import BaseDataPreprocessor

from soco_mm.registry import MODELS


@MODELS.register_module()
class ViewDataPreprocessor(BaseDataPreprocessor):
    """Move a batch of views to the device and normalise it there.

    Args:
        mean (Sequence[float]): Mean of each channel, from 0 to 255, in the
            order in which the model gets the channels.
        std (Sequence[float]): Standard deviation of each channel.
        non_blocking (bool): Do not wait for the transfer, which needs pinned
            memory to have an effect. Defaults to True.
        rgb_to_bgr (bool): Give the channels to the model as BGR, for detectors
            that take images so. Defaults to False.
        channels_last (bool): Give the views in the memory format that
            convolutions prefer, which MMCV's deformable ones cannot read.
            Defaults to True.
    """

    def __init__(
        self,
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        non_blocking: bool = True,
        rgb_to_bgr: bool = False,
        channels_last: bool = True,
    ) -> None:
        super().__init__(non_blocking=non_blocking)
        self.rgb_to_bgr = rgb_to_bgr
        self.channels_last = channels_last
        for name, value in (('mean', mean), ('std', std)):
            self.register_buffer(
                name, torch.tensor(value).view(-1, 1, 1), persistent=False
            )

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise a collated batch.

        Args:
            data (dict): ``views``: a list of RGB images, uint8,
                (N, H_v, W_v, 3); ``boxes``: a list of (N, K, 4); ``valid``: a
                list of (N, K) booleans; and, for an RPN, ``proposals`` and
                ``num_proposals``.
            training (bool): Not used; views are the same in both modes.

        Returns:
            dict: The same keys on the model's device, with float32 views of
            shape (N, 3, H_v, W_v). ``num_proposals`` stay on the host, where
            they are read.
        """
        on_host = {key: data[key] for key in ('num_proposals',) if key in data}
        data = self.cast_data(data) | on_host
        views = data['views']
        if self.rgb_to_bgr:
            views = [view.flip(-1) for view in views]
        views = [
            view.permute(0, 3, 1, 2).float().sub_(self.mean).div_(self.std)
            for view in views
        ]
        if not self.channels_last:
            views = [view.contiguous() for view in views]
        return dict(data, views=views)


@MODELS.register_module()
class ImageViewDataPreprocessor(ViewDataPreprocessor):
    """The same for MMSelfSup's image-level algorithms, which take no boxes."""

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise a collated batch.

        Args:
            data (dict): See :class:`ViewDataPreprocessor`.
            training (bool): Not used.

        Returns:
            dict: ``inputs``, the views, and ``data_samples``, an empty list.
        """
        views = super().forward(dict(views=data['views']), training)['views']
        return dict(inputs=views, data_samples=[])
