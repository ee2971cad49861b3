from .view_sync_batch_norm import ViewSyncBatchNorm, batch_of_views

__all__ = ['ViewSyncBatchNorm', 'batch_of_views']
