"""The model file of OpenCV's structured edges."""

import os

import cv2

from soco_mm.errors import UsageError

TREES = 'numberOfTrees'
NODES = ('childs', 'featureIds', 'thresholds', 'edgeBoundaries', 'edgeBins')


def load_edge_model(path: str) -> 'cv2.ximgproc.StructuredEdgeDetection':
    """Load a model, once it is certain that the file holds one.

    OpenCV takes any YAML, JSON or XML for a model, and a file without trees ends
    the process: it divides by their number.

    Args:
        path (str): A file such as ``model.yml.gz`` of opencv_extra.

    Returns:
        cv2.ximgproc.StructuredEdgeDetection: The detector of edges.

    Raises:
        UsageError: If there is no such file, or it is no such model.
    """
    if not os.path.isfile(path):
        raise UsageError(
            f'There is no edge model {path}. Give the file of a structured-edge '
            'model, or leave it out.'
        )
    try:
        complete = _has_trees(path)
    except (cv2.error, SystemError):  # depends on where the parser gives up
        complete = False
    if not complete:
        raise UsageError(
            f'{path} is no structured-edge model, such as model.yml.gz of '
            'opencv_extra. Give another file, or leave --edge-model out to use the '
            "images' gradients."
        )
    return cv2.ximgproc.createStructuredEdgeDetection(path)


def _has_trees(path: str) -> bool:
    content = cv2.FileStorage(path, cv2.FILE_STORAGE_READ)
    options = content.getNode('options')
    if not options.isMap() or not options.getNode(TREES).isInt():
        return False
    trees = options.getNode(TREES).real()
    nodes = [content.getNode(name) for name in NODES]
    return trees > 0 and all(each.isSeq() and each.size() == trees for each in nodes)
