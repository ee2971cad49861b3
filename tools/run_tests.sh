#!/usr/bin/env bash
# Run the tests; sets up what is missing.
#
#   bash tools/run_tests.sh [--here] [--stack openmmlab|onedl] [arguments of pytest]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
python=.venv/bin/python
arguments=()
if [ "${1:-}" = --here ]; then
  shift
  arguments=(--here)
  python=python
fi
if [ "${1:-}" = --stack ]; then
  arguments+=(--stack "${2:-}")
  if [ "$python" != python ] && [ "${2:-}" = onedl ]; then python=.venv_onedl/bin/python; fi
  shift $(( $# > 1 ? 2 : 1 ))
fi
bash tools/setup_env.sh ${arguments[@]+"${arguments[@]}"}
# One process per core, each with one thread; the tests of a file share trainings
# and run in the same process.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec "$python" -m pytest -n auto --maxprocesses 4 --dist loadfile \
  --no-loadscope-reorder "$@"
