from .object_dense_head import ObjectDenseHead

__all__ = ['ObjectDenseHead']
