"""Quality of frozen features: probes with labelled images."""

from .backbone import backbone_config, backbone_weights, load_backbone
from .classifier import LinearProbe
from .data import ClassFolders, LoadRGBImage, find_classes
from .features import extract_features
from .knn import TEMPERATURE, knn_scores
from .objects import ObjectCrops

__all__ = [
    'TEMPERATURE',
    'ClassFolders',
    'LinearProbe',
    'LoadRGBImage',
    'ObjectCrops',
    'backbone_config',
    'backbone_weights',
    'extract_features',
    'find_classes',
    'knn_scores',
    'load_backbone',
]
