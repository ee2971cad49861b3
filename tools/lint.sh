#!/usr/bin/env bash
# Lint: ruff (rules and format), codespell and mypy, in seconds.
#
#   bash tools/lint.sh         says what is wrong
#   bash tools/lint.sh --fix   first fixes what ruff can fix
#
# Makes .venv_lint for them, apart from .venv: they need no PyTorch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case "${1:-}" in
  '') fix=false ;;
  --fix) fix=true ;;
  -h|--help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "[lint] ERROR: unknown argument '$1'; the only one is --fix" >&2; exit 2 ;;
esac

bin=.venv_lint/bin
stamp=.venv_lint/requirements.txt
if ! cmp -s requirements/lint.txt "$stamp"; then
  echo '[lint] making .venv_lint' >&2
  "${PYTHON:-python3}" -m venv .venv_lint
  "$bin/python" -m pip --disable-pip-version-check install -q -r requirements/lint.txt
  cp requirements/lint.txt "$stamp"
fi

if $fix; then
  "$bin/ruff" check -q --fix . || true
  "$bin/ruff" format -q .
fi
failed=()
run() { "$bin/$@" || failed+=("$1"); }
run ruff check -q .
run ruff format -q --check .
run codespell
run mypy
if [ ${#failed[@]} -gt 0 ]; then
  echo "[lint] ERROR: ${failed[*]} found something, see above" >&2
  exit 1
fi
