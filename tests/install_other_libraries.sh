#!/usr/bin/env bash
# Install the libraries that exports are compared with (other_libraries.py) and
# beside which models train (beside.py), into a folder of their own in the
# environment of a Python.
#
#   bash tests/install_other_libraries.sh [PYTHON]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${1:-python}
target=$("$python" -c 'import sys; print(sys.prefix)')/test_libraries
libraries=$(mktemp)
download=$(mktemp -d)
trap 'rm -rf "$libraries" "$download"' EXIT
cp "$root/requirements/test_libraries.txt" "$libraries"
# The successors have an MMPretrain of their own.
if "$python" -c 'import importlib.metadata as m; m.version("onedl-mmpretrain")' 2>/dev/null; then
  sed -i '/^mmpretrain==/d' "$libraries"
fi
"$python" -m pip install --quiet --no-deps --upgrade -r "$libraries" --target "$target"

# Detectron2's own release is no package. This is one of its release 0.6,
# without the sources of its operators, so that it cannot be installed but
# only unpacked.
echo 'pb1-detectron2==0.6 --hash=sha256:5d2e9e51e523ec72f6a31cca04b0a515492e9514b773a3d134cedc0677170b29' >"$download/requirements.txt"
"$python" -m pip download --quiet --no-deps --no-build-isolation --no-binary :all: \
  --require-hashes -r "$download/requirements.txt" -d "$download"
tar -xzf "$download"/pb1-detectron2-0.6.tar.gz -C "$target" --strip-components 1 \
  pb1-detectron2-0.6/detectron2
