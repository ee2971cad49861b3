"""Paths and errors as messages show them."""

from soco_mm.errors import without_control


def printable(path: str) -> str:
    """A path as a terminal can show it, whatever bytes its name has."""
    return without_control(path.encode('utf-8', 'backslashreplace').decode())


def first_line(error: Exception) -> str:
    """Class of an error, and the first line of what it says."""
    lines = str(error).strip().splitlines()
    text = f': {" ".join(lines[0].split())}' if lines else ''
    return type(error).__name__ + text
