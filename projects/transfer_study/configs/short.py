# The short recipe with a backbone that is trained too, at a tenth of the rate.
_base_ = './align.py'

model = dict(frozen_parts=())
