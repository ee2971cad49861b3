#!/usr/bin/env bash
# Make proposals in several processes or on several machines:
#   bash tools/dist_proposals.sh IMAGES STORE PROCESSES [arguments]
# Each process keeps its shard in STORE.shards, of which STORE is made at the
# end. The same command continues after a kill; leave --overwrite out then, which
# makes all shards again. On several machines with a common file system set NNODES,
# NODE_RANK, MASTER_ADDR and PORT on each; it then says how to make STORE when all
# are done.
set -euo pipefail
if [ $# -lt 3 ]; then
  sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python}
[ -z "${PYTHON:-}" ] && [ -z "${VIRTUAL_ENV:-}" ] && [ -x "$root/.venv/bin/python" ] && python="$root/.venv/bin/python"
images=$1 store=${2%/} processes=$3
nodes=${NNODES:-1}
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
# Each process sets its own number of threads.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# A signal for this script ends its processes too.
"$python" -m soco_mm.cli.launch \
  --nnodes="$nodes" \
  --node_rank="${NODE_RANK:-0}" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" \
  ${PORT:+--master_port="$PORT"} \
  --nproc_per_node="$processes" \
  -m soco_mm.cli proposals "$images" --out "$store" --launcher pytorch "${@:4}" &
child=$!
stop() {
  echo 'What is done is kept; the same command continues.' >&2
  kill -TERM "$child" 2>/dev/null || true
  wait "$child" || true
  exit "$1"
}
trap 'stop 143' TERM HUP
trap 'stop 130' INT
wait "$child"
trap - TERM HUP INT
count=$((nodes * processes))
overwrite=()
[[ " $* " == *' --overwrite '* ]] && overwrite=(--overwrite)
shards=()
for ((i = 1; i <= count; i++)); do
  shards+=("$store.shards/$i-of-$count")
done
if [ "$nodes" -gt 1 ]; then
  echo "When all machines are done: soco-mm proposals merge $(printf '%q ' "${shards[@]}")--out $(printf %q "$store")${overwrite[*]:+ ${overwrite[*]}}"
  exit
fi
exec "$python" -m soco_mm.cli proposals merge "${shards[@]}" --out "$store" ${overwrite[@]+"${overwrite[@]}"}
