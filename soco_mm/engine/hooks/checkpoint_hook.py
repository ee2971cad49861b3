from pathlib import Path

import numpy as np
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.logging import HistoryBuffer

from soco_mm.registry import HOOKS
from soco_mm.utils import PARTIAL, atomic_write

CHECKPOINT_DIR = 'checkpoints'


@register_backend('soco_mm.AtomicLocalBackend')
class AtomicLocalBackend(LocalBackend):
    """Local files that appear whole or not at all."""

    def put(self, obj: bytes, filepath) -> None:
        """Write bytes under a temporary name, then rename."""
        atomic_write(filepath, obj)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's checkpoints in ``WORK_DIR/checkpoints``, whole and plain.

    A kill while a checkpoint is written leaves the one before it, provided
    that ``max_keep_ckpts`` is not 1. And a checkpoint holds tensors and plain
    types alone, so that ``torch.load`` reads it as weights only, also when
    MMDetection calls it: MMEngine pickles an object for the history of each
    scalar, which PyTorch refuses from 2.6 on.

    Args:
        **kwargs: Arguments of :class:`mmengine.hooks.CheckpointHook` but
            ``out_dir`` and ``backend_args``.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(
            backend_args=dict(backend='soco_mm.AtomicLocalBackend'), **kwargs)

    def before_train(self, runner) -> None:
        """Prepare the folder, and clear what a kill has left there."""
        super().before_train(runner)
        folder = Path(runner.work_dir) / CHECKPOINT_DIR
        if is_main_process():
            folder.mkdir(parents=True, exist_ok=True)
            for partial in folder.glob('*' + PARTIAL):
                partial.unlink()
        # Given as an argument, MMEngine would append the work dir's name.
        self.out_dir = str(folder)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Replace the histories of the scalars by lists, NumPy's by plain."""
        hub = checkpoint.get('message_hub')
        if hub is not None:
            hub['runtime_info'] = {
                name: value.item() if isinstance(value, np.generic) else value
                for name, value in hub['runtime_info'].items()
            }
            hub['log_scalars'] = {
                name: [values.tolist() for values in buffer.data]
                for name, buffer in hub['log_scalars'].items()
            }

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Make the histories of the scalars again."""
        hub = checkpoint.get('message_hub')
        if hub is not None:
            hub['log_scalars'] = {
                name: HistoryBuffer(*values)
                for name, values in hub['log_scalars'].items()
                if isinstance(values, list)
            }
