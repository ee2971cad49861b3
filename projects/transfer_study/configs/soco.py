# SoCo as in the paper, in the same number of steps: its loss, LARS for all parts,
# all of it handed over.
_base_ = './align.py'

model = dict(
    frozen_parts=(), head=dict(loss=dict(_delete_=True, type='ObjectCosineLoss'))
)
optim_wrapper = dict(
    _delete_=True,
    type='AmpOptimWrapper',
    optimizer=dict(
        type='LARS', lr=1.0 * 32 / 256, momentum=0.9, weight_decay=1e-5, eta=0.001
    ),
)
handed_over = None
