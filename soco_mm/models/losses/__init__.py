from .object_cosine_loss import ObjectCosineLoss

__all__ = ['ObjectCosineLoss']
