from mmengine.model import BaseAveragedModel
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from soco_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class OnlineOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's constructor, for only the online network.

    MMEngine's own would warn about each parameter of the target network that
    it has no gradient, and take weights twice that two layers share, as the
    towers of RTMDet's levels do.
    """

    def add_params(
        self,
        params: list[dict],
        module: nn.Module,
        prefix: str = '',
        is_dcn_module: int | float | None = None,
    ) -> None:
        """Add the parameters of a module, except those of an average."""
        there = {id(value) for group in params for value in group['params']}
        own = [id(value) for value in module.parameters()]
        shared = bool(own) and there.issuperset(own)
        if not shared and not isinstance(module, BaseAveragedModel):
            super().add_params(params, module, prefix, is_dcn_module)
