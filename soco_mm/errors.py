class SoCoError(Exception):
    """What a user can understand and mend; shown without a stack trace."""

    exit_code = 1


class UsageError(SoCoError):
    """The command or its arguments are wrong."""

    exit_code = 2
