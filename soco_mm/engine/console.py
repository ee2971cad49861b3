"""Run a training and show its progress."""

from mmengine.runner import Runner

from .hooks.console_hook import ConsoleHook
from .quiet_log import QuietRunner, prints_to_log


def run_training(runner: Runner) -> None:
    """Train; a line of progress ends with it, whatever happens.

    Args:
        runner (Runner): The runner. A :class:`QuietRunner` shows progress
            by a :class:`ConsoleHook`.
    """
    if not isinstance(runner, QuietRunner):
        runner.train()
        return
    hook = ConsoleHook()
    runner.register_hook(hook)
    try:
        with prints_to_log():
            runner.train()
    finally:
        hook.close()
