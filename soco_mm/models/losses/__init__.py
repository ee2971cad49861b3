from .object_cosine_loss import ObjectCosineLoss
from .object_infonce_loss import ObjectInfoNCELoss
from .variance_covariance_loss import VarianceCovarianceLoss

__all__ = ['ObjectCosineLoss', 'ObjectInfoNCELoss', 'VarianceCovarianceLoss']
