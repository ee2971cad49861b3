#!/usr/bin/env bash
# Make proposals on a Slurm cluster:
#   PROCESSES=16 bash tools/slurm_proposals.sh PARTITION JOB_NAME IMAGES STORE [arguments of soco-mm proposals]
# CPUS_PER_TASK (default 8) processes work in each; SRUN_ARGS is passed on to
# srun. The same command continues after a kill (leave --overwrite out then).
set -euo pipefail
if [ $# -lt 4 ]; then
  sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python}
store=${4%/}
count=${PROCESSES:-8}
cpus=${CPUS_PER_TASK:-8}
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
# SRUN_ARGS holds several words.
srun -p "$1" --job-name="$2" --ntasks="$count" --cpus-per-task="$cpus" \
  --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
  "$python" -u -m soco_mm.cli proposals "$3" --out "$store" \
  --launcher slurm --workers "$cpus" "${@:5}"
shards=()
overwrite=()
[[ " $* " == *' --overwrite '* ]] && overwrite=(--overwrite)
for ((i = 1; i <= count; i++)); do
  shards+=("$store.shards/$i-of-$count")
done
"$python" -m soco_mm.cli proposals merge "${shards[@]}" --out "$store" ${overwrite[@]+"${overwrite[@]}"}
