from mmengine.hooks import Hook

from soco_mm.registry import HOOKS

from ..loops import iterations_of


@HOOKS.register_module()
class ResumedEvaluationHook(Hook):
    """Evaluate a resumed training before it continues.

    Every checkpoint is saved before its evaluation. MMEngine continues after
    it, so an evaluation during which a run was stopped would be missing; and
    the best score in the checkpoint may be stale.
    """

    # After the hooks that keep the best checkpoint have been prepared.
    priority = 'LOWEST'

    def before_train(self, runner) -> None:
        """Repeat the evaluation of the epoch from which the run is resumed.

        Within an epoch the one before it is over, and other weights had it.
        """
        if runner.epoch and runner.iter == runner.epoch * iterations_of(runner):
            runner.val_loop.run()
