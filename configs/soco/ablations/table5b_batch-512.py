# Table 5(b): batches of 512 images on 16 GPUs. The rule of 1.0 for 256 images
# gives the learning rate.
_base_ = '../soco_r50_fpn_100e.py'

train_dataloader = dict(batch_size=32)
optim_wrapper = dict(optimizer=dict(lr=2.0))
auto_scale_lr = dict(base_batch_size=512)
