class SoCoError(Exception):
    """What a user can understand and fix; shown without a stack trace."""

    exit_code = 1
    # Another process of the training prints it.
    silent = False


class UsageError(SoCoError):
    """The command or its arguments are wrong."""

    exit_code = 2
