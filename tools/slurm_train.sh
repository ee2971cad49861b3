#!/usr/bin/env bash
# Train on a Slurm cluster, one process per GPU:
#   GPUS=16 GPUS_PER_NODE=8 bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]
# CPUS_PER_TASK and SRUN_ARGS are passed on to srun. In a job of sbatch --requeue
# --signal=USR1@120 it saves before the time limit, requeues the job and goes on.
set -euo pipefail
if [ $# -lt 4 ]; then
  sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-8}
[ "$per_node" -gt "$gpus" ] && per_node=$gpus
# Without a checkpoint --resume starts from the beginning.
resume=()
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] && [[ " ${*:5} " != *" --resume"* ]]; then
  resume=(--resume)
fi
# Jobs on one node need a port each.
export MASTER_PORT=${MASTER_PORT:-$((20000 + ${SLURM_JOB_ID:-$$} % 20000))}
# Signals are for the training, whose end is awaited.
trap : TERM USR1
code=0
# SRUN_ARGS holds several words.
srun -p "$1" --job-name="$2" --gres="gpu:$per_node" --ntasks="$gpus" \
  --ntasks-per-node="$per_node" --cpus-per-task="${CPUS_PER_TASK:-${SLURM_CPUS_PER_TASK:-8}}" \
  --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
  "${PYTHON:-python}" -u "$root/tools/train.py" "$3" --work-dir="$4" \
  --launcher=slurm ${resume[@]+"${resume[@]}"} "${@:5}" || code=$?
# Stopped by a signal, after a checkpoint.
if [ "$code" -eq 75 ] && [ -n "${SLURM_JOB_ID:-}" ]; then
  # A job that ends already was cancelled, or preempted, when Slurm requeues it itself.
  state=$(squeue -h -j "$SLURM_JOB_ID" -o %T 2>/dev/null || echo RUNNING)
  if [ "$state" = RUNNING ]; then
    scontrol requeue "$SLURM_JOB_ID" || echo "Requeue the job by hand." >&2
  else
    echo "The job is $state and is not requeued; to go on: scontrol requeue $SLURM_JOB_ID" >&2
  fi
fi
exit "$code"
