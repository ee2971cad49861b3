# From weights pretrained by classification of ImageNet.
_base_ = ['./faster-rcnn_r50_c4_24k_voc0712.py', '../../../_base_/detection.py']

model = _base_.pop('parts').supervised_c4
