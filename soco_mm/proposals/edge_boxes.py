import cv2
import numpy as np

from soco_mm.registry import PROPOSALS

from .contrib import require_ximgproc
from .resizing import limit_side, merge_boxes
from .structured_edges import load_edge_model

SIGMA = 1.0  # pixels, of the Gaussian before the gradients
# Share of the pixels whose gradient counts as the strongest possible edge.
STRONGEST = 0.01
FAINTEST = 1e-6  # gradient, in grey values; below it there is no edge at all


@PROPOSALS.register_module()
class EdgeBoxes:
    """Edge boxes: boxes that wholly enclose many contours.

    OpenCV's implementation of `Edge Boxes: Locating Object Proposals from Edges
    <https://link.springer.com/chapter/10.1007/978-3-319-10602-1_26>`_. Edges are
    those of a structured-edge model, or where none is given the gradients of the
    image, which need no training and find somewhat less.

    Args:
        num_boxes (int): At most so many boxes with the highest scores. Defaults
            to 500.
        max_side (int, optional): Images with a longer side are reduced to it
            first. None to search in full size. Defaults to 320.
        min_size (int): Area of the smallest box, in pixels of the reduced image.
            Defaults to 20.
        max_aspect (float): Boxes up to this many times as long as wide. Defaults
            to 3.
        edge_model (str, optional): Model file of
            ``cv2.ximgproc.createStructuredEdgeDetection``, such as
            ``model.yml.gz`` of opencv_extra. Defaults to None.

    Raises:
        UsageError: If ``edge_model`` is not such a file.
    """

    def __init__(
        self,
        num_boxes: int = 500,
        max_side: int | None = 320,
        min_size: int = 20,
        max_aspect: float = 3,
        edge_model: str | None = None,
    ) -> None:
        require_ximgproc('edge boxes')
        self.num_boxes = num_boxes
        self.max_side = max_side
        self.min_size = min_size
        self.max_aspect = max_aspect
        self.edge_model = None if edge_model is None else load_edge_model(edge_model)

    def __call__(
        self, image: np.ndarray, rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """Propose boxes.

        Args:
            image (np.ndarray): RGB, uint8, (H, W, 3).
            rng (np.random.Generator, optional): Not used.

        Returns:
            np.ndarray: Distinct boxes, x1 y1 x2 y2 in pixels of the image,
            float32, (P, 4), sorted.
        """
        small = limit_side(image, self.max_side)
        if self.edge_model is None:
            edges, normals = gradient_edges(small)
        else:
            edges, normals = self._model_edges(small)
        search = cv2.ximgproc.createEdgeBoxes(
            maxBoxes=self.num_boxes,
            maxAspectRatio=self.max_aspect,
            minBoxArea=self.min_size,
        )
        found = search.getBoundingBoxes(edges, normals)
        # OpenCV returns the scores too, or nothing at all.
        xywh = np.asarray(found[0] if len(found) else [], np.float32).reshape(-1, 4)
        # It refines boxes after it has looked at their areas.
        xywh = xywh[xywh[:, 2] * xywh[:, 3] >= self.min_size]
        return merge_boxes(xywh, small, image)

    def _model_edges(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        detector = self.edge_model
        edges = detector.detectEdges(image.astype(np.float32) / 255)
        normals = detector.computeOrientation(edges)
        return detector.edgesNms(edges, normals), normals


def gradient_edges(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Thin edges where an image changes most.

    Args:
        image (np.ndarray): RGB, uint8, (H, W, 3).

    Returns:
        tuple: The strength of the edges from 0 to 1, and the direction across
        them from 0 to pi, each float32, (H, W).
    """
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), SIGMA)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    strength = np.hypot(across, down)
    # Of the channel that changes most.
    channel = strength.argmax(2)[..., None]
    strength, across, down = (
        np.take_along_axis(each, channel, 2)[..., 0]
        for each in (strength, across, down)
    )
    normals = np.arctan2(down, across) % np.pi
    thin = np.where(_is_ridge(strength, normals), strength, 0)
    strongest = np.quantile(strength, 1 - STRONGEST)
    if strongest < FAINTEST:
        strongest = max(float(strength.max()), FAINTEST)
    thin[strength < FAINTEST] = 0
    return np.float32(np.minimum(thin / strongest, 1)), np.float32(normals)


def _is_ridge(strength: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Where no neighbour across the edge is stronger."""
    rows, columns = np.indices(strength.shape, np.float32)
    ridge = np.ones(strength.shape, bool)
    for sign in (-1, 1):
        neighbour = cv2.remap(
            strength,
            columns + np.float32(sign * np.cos(normals)),
            rows + np.float32(sign * np.sin(normals)),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        ridge &= strength >= neighbour
    return ridge
