# The paper's 2048 images per step on one GPU of 24 GB, as 16 batches of 128. Not
# from the paper: batch norm sees 128 images and not 2048.
_base_ = './soco_r50_fpn_100e.py'

optim_wrapper = dict(accumulative_counts=16)
