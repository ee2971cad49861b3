# From random weights.
_base_ = './faster-rcnn_r50_c4_24k_voc0712.py'
