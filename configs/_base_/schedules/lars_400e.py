_base_ = './lars_100e.py'

train_cfg = dict(max_epochs=400)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=400, T_max=390)
