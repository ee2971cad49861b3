"""What only OpenCV's contrib package has."""

import cv2


def require_ximgproc(what: str) -> None:
    """Refuse an OpenCV without ``cv2.ximgproc``.

    Args:
        what (str): What needs it, for the message.

    Raises:
        ImportError: If it is missing.
    """
    if not hasattr(cv2, 'ximgproc'):
        raise ImportError(
            f'OpenCV has no {what}: another package than '
            'opencv-contrib-python was installed over it; soco-mm doctor '
            'says how to fix that'
        )
