"""A file that runs code when it is loaded."""

import os


class Attack:
    """A pickle of it makes a folder when it is loaded.

    Args:
        path (Path): The folder.
    """

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)
