# Align only: neck and head are trained against a backbone that is kept, and the
# neck is handed over. The short recipe with a neck and a head of a quarter of the
# width.
_base_ = '../../../configs/soco/short/soco_mobilenetv2_fpn_short.py'

model = dict(
    neck=dict(out_channels=64),
    roi_head=dict(
        bbox_head=dict(in_channels=64, conv_out_channels=64, fc_out_channels=256)
    ),
    projector=dict(in_channels=256, hid_channels=1024),
    head=dict(predictor=dict(hid_channels=1024)),
)
train_dataloader = dict(num_workers=0, persistent_workers=False)
