# The paper's 2048 images per step on one GPU of 80 GB, as 4 batches of 512. Not
# from the paper: batch norm sees 512 images and not 2048.
_base_ = './soco_r50_fpn_100e.py'

train_dataloader = dict(batch_size=512)
optim_wrapper = dict(accumulative_counts=4)
