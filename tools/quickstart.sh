#!/usr/bin/env bash
# See everything work on five photos: set-up, proposals, a short pretraining,
# the hand-off, and a few iterations of Mask R-CNN from those weights.
#
#   bash tools/quickstart.sh           uses .venv, which it makes if needed
#   bash tools/quickstart.sh --here    uses the environment that is active
#
# Takes about 4 minutes on 2 cores, after the set-up. Everything goes to
# work_dirs/quickstart; what an earlier call left there is deleted.
set -euo pipefail
case "${1:-}" in
  '') here=false ;;
  --here) here=true ;;
  -h|--help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "[quickstart] ERROR: unknown argument '$1'; the only one is --here" >&2; exit 2 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { printf '\n[quickstart] %s\n' "$*"; }

bash tools/setup_env.sh "$@"
python=python
$here || python=.venv/bin/python
run=work_dirs/quickstart
started=$SECONDS

say '1/3 proposals, pretraining and hand-off (soco-mm pretrain)'
"$python" -m soco_mm.cli pretrain demo/images --out "$run" \
  --config soco_r18_fpn_quick --epochs 40 --overwrite \
  --cfg-options default_hooks.logger.interval=1 default_hooks.checkpoint.interval=10

say "2/3 Mask R-CNN from these weights (MMDetection's own tools/train.py)"
mmdet=$("$python" -c 'import mmdet, os; print(os.path.dirname(mmdet.__file__))')
"$python" "$mmdet/.mim/tools/train.py" demo/mask-rcnn_photos.py --work-dir "$run/mask_rcnn"

say '3/3 what came out'
"$python" demo/summary.py "$run"
echo "This took $((SECONDS - started)) s."
