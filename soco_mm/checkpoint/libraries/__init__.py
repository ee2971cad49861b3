"""Pretrained weights under the names of other libraries, and their files."""

from .architecture import backbone_type, pixel_statistics
from .backbones import mmpretrain_weights, timm_model, timm_weights
from .detectron2 import detectron2_pickle, detectron2_settings, detectron2_weights
from .parts import split_parts
from .safetensors import safetensors_bytes
from .torchvision import torchvision_weights

__all__ = [
    'backbone_type',
    'detectron2_pickle',
    'detectron2_settings',
    'detectron2_weights',
    'mmpretrain_weights',
    'pixel_statistics',
    'safetensors_bytes',
    'split_parts',
    'timm_model',
    'timm_weights',
    'torchvision_weights',
]
