from mmengine.visualization import LocalVisBackend

from soco_mm.registry import VISBACKENDS
from soco_mm.utils.files import finite_or_none


@VISBACKENDS.register_module()
class JSONVisBackend(LocalVisBackend):
    """MMEngine's backend, whose ``scalars.json`` stays JSON.

    JSON has neither NaN nor infinity; they are written as null.
    """

    def _dump(self, value_dict: dict, file_path: str, file_format: str) -> None:
        super()._dump(finite_or_none(value_dict), file_path, file_format)
