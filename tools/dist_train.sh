#!/usr/bin/env bash
# Train on several GPUs, or in several processes on the CPU:
#   bash tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# On several machines set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
# SIGTERM or SIGUSR1: a checkpoint is saved, and the exit code is 75; go on with --resume.
set -euo pipefail
if [ $# -lt 2 ]; then
  sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python}
[ -z "${PYTHON:-}" ] && [ -z "${VIRTUAL_ENV:-}" ] && [ -x "$root/.venv/bin/python" ] && python="$root/.venv/bin/python"
exec "$python" -m soco_mm.cli.launch \
  --nnodes="${NNODES:-1}" \
  --node_rank="${NODE_RANK:-0}" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" \
  ${PORT:+--master_port="$PORT"} \
  --nproc_per_node="$2" \
  "$root/tools/train.py" "$1" --launcher pytorch "${@:3}"
