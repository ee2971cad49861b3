#!/usr/bin/env bash
# See everything work on five photos: set-up, proposals, a short pretraining,
# the hand-off, and a Mask R-CNN that finds coins from those weights.
#
#   bash tools/quickstart.sh           uses .venv, which it makes if needed
#   bash tools/quickstart.sh --here    uses the environment that is active
#
# Takes about 3 minutes on 2 cores, after the set-up. Everything goes to
# work_dirs/quickstart; what an earlier call left there is deleted.
set -euo pipefail
case "${1:-}" in
  '') here=false ;;
  --here) here=true ;;
  -h|--help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "[quickstart] ERROR: unknown argument '$1'; the only one is --here" >&2; exit 2 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# The next steps are in the table at the end. A pipe would hide the live line.
job() { if [ -t 1 ]; then "$@"; else "$@" | sed -u '/^Files of this run:/,$d'; fi; }
say() { printf '\n[quickstart] %s\n' "$*"; }

bash tools/setup_env.sh "$@"
python=python
$here || python=.venv/bin/python
run=work_dirs/quickstart
started=$SECONDS

say '1/3 proposals, pretraining and hand-off (soco-mm pretrain)'
job "$python" -m soco_mm.cli pretrain demo/images --out "$run" \
  --config soco_r18_fpn_quick --epochs 12 --overwrite \
  --cfg-options default_hooks.logger.interval=1 default_hooks.checkpoint.interval=6

say '2/3 Mask R-CNN from these weights learns to find coins (soco-mm finetune)'
job "$python" -m soco_mm.cli finetune "$run/exported" --out "$run/detector" \
  --data demo/instances.json --images demo/images --val demo/instances.json \
  --classes coin --epochs 40 --batch-size 1 --scale 384 304 --overwrite \
  --cfg-options optim_wrapper.optimizer.lr=0.01 \
  model.train_cfg.rcnn.sampler.num=64 \
  model.train_cfg.rpn_proposal.max_per_img=200 \
  model.test_cfg.rpn.max_per_img=100 \
  train_cfg.val_interval=40 default_hooks.checkpoint.interval=40

say '3/3 what was made, and the command that opens it'
"$python" demo/summary.py "$run"
echo "This took $((SECONDS - started)) s."
