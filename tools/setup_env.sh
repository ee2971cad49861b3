#!/usr/bin/env bash
# Set up everything that soco_mm needs; it can be run repeatedly.
#
#   bash tools/setup_env.sh          makes .venv next to this folder and fills it
#   bash tools/setup_env.sh --here   fills the environment that is active, with
#       the successors if they are there
#   bash tools/setup_env.sh --force  goes through all steps again
#   bash tools/setup_env.sh --stack onedl   takes the maintained successors of
#       MMEngine, MMCV and MMDetection instead, into .venv_onedl
#
# PYTHON   the interpreter to make .venv with (default: python3)
# TORCH    what to install if there is no PyTorch (default: torch==2.13.0)
# MAX_JOBS, FORCE_CUDA, XDG_CACHE_HOME: see tools/build_mmcv.py
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python3}

say() { printf '[setup] %s\n' "$*"; }
die() { printf '[setup] ERROR: %s\n' "$*" >&2; exit "${2:-1}"; }

here=false
force=false
stack=
while [ $# -gt 0 ]; do
  case "$1" in
    --here) here=true ;;
    --force) force=true ;;
    --stack) shift; stack=${1:-nothing} ;;
    -h|--help) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) die "unknown argument '$1'; there are --here, --force and --stack" 2 ;;
  esac
  [ $# -eq 0 ] || shift
done
case "$stack" in
  ''|openmmlab|onedl) ;;
  *) die "--stack is openmmlab or onedl, not '$stack'" 2 ;;
esac

venv=$root/.venv
if [ "$stack" = onedl ]; then venv=$root/.venv_onedl; fi
made=false
# What a path leads to may be gone, with a Python that was upgraded.
clear=()
if ! $here && [ -e "$venv" ] && ! "$venv/bin/python" -c '' 2>/dev/null; then
  [ -f "$venv/pyvenv.cfg" ] || die "$venv is no virtual environment. Move it away, or use --here"
  say "$venv/bin/python does not run; $venv is made again"
  clear=(--clear)
fi
if ! $here && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  made=true
  if [ -n "${PYTHON:-}" ] && command -v "$PYTHON" >/dev/null; then
    version='import sys; print(*sys.version_info[:2], sep=".")'
    [ "$("$PYTHON" -c "$version")" = "$("$venv/bin/python" -c "$version")" ] ||
      die "$venv has another Python than PYTHON=$PYTHON. Delete it first, or leave PYTHON out"
  fi
  python=${PYTHON:-$venv/bin/python} # it needs no other one
fi
command -v "$python" >/dev/null ||
  die "there is no '$python'. Install Python 3.11, or name one: PYTHON=/path/to/python bash tools/setup_env.sh"
"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' ||
  die "$("$python" --version) is not supported; Python 3.11 is the tested one (3.10 and 3.12 are declared, 3.13 only with --stack onedl). Name one: PYTHON=/path/to/python bash tools/setup_env.sh"

pip() { "$python" -m pip --disable-pip-version-check "$@"; }
installed() { "$python" -c "import importlib.metadata as m; m.version('$1')" 2>/dev/null; }

if $here && [ -z "$stack" ] && installed onedl-mmengine; then stack=onedl; fi
case "$stack" in
  onedl) packages=onedl.txt mmcv_package=onedl-mmcv other=mmengine ;;
  *) stack=openmmlab packages='mminstall.txt mmselfsup.txt' mmcv_package=mmcv other=onedl-mmengine ;;
esac
if [ "$stack" = openmmlab ] && { $here || ! $made; }; then
  "$python" -c 'import sys; sys.exit(sys.version_info >= (3, 13))' ||
    die "MMCV 2.0.1 cannot be built for Python 3.13. Take its successor (--stack onedl), or name an older Python: PYTHON=python3.11 bash tools/setup_env.sh"
fi

if ! $here; then
  if ! $made; then
    say "making $venv with $("$python" --version)"
    "$python" -m venv ${clear[@]+"${clear[@]}"} "$venv" ||
      die "the virtual environment could not be made (Debian/Ubuntu: apt-get install python3-venv)"
  fi
  python="$venv/bin/python"
fi

# What was set up is stamped, so that a second run costs nothing.
state=$(cat "$root"/requirements/*.txt "$root"/pyproject.toml "$root"/setup.py "$root"/tools/setup_env.sh "$root"/tools/build_mmcv.py | cksum)
versions() {
  "$python" -m pip list --format=freeze 2>/dev/null |
    grep -iE '^(torch|mm[a-z]+|onedl-[a-z]+|numpy|opencv[a-z-]*)==' | tr '\n' ' ' || true
}
prefix=$("$python" -c 'import sys; print(sys.prefix)')
# FORCE_CUDA stays as it was given once.
kept=$prefix/.soco_mm_force_cuda
export FORCE_CUDA=${FORCE_CUDA-$(cat "$kept" 2>/dev/null || true)}
# Where a GPU has come since, MMCV is looked at again.
device="$FORCE_CUDA $(ls -d /dev/nvidia[0-9]* 2>/dev/null | tr '\n' ' ' || true)"
stamp=$prefix/.soco_mm_setup
if ! $force && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$root $stack $state $device $(versions)" ]; then
  exit 0
fi

if installed "$other"; then
  die "$other is installed, of the other family, which writes the same folders. Uninstall both first: pip uninstall -y mmengine mmcv mmdet onedl-mmengine onedl-mmcv onedl-mmdetection"
fi
started=$SECONDS

if ! installed torch; then
  say "PyTorch (${TORCH:=torch==2.13.0})"
  pip install "$TORCH" numpy
else
  pip install -q numpy
fi

say 'MMCV with its compiled ops'
# After PyTorch, which brings the newest setuptools along.
pip install -q -r "$root/requirements/build.txt"
# Of a build for the CPU alone the module is there too.
runs() {
  "$python" - 2>/dev/null <<'EOF'
import os
import torch
from mmcv.ops import RoIAlign, get_compiling_cuda_version
wanted = os.environ['FORCE_CUDA']
assert wanted != '1' or get_compiling_cuda_version() != 'not available'
gpu = torch.cuda.is_available() and wanted != '0'
device = 'cuda' if gpu else 'cpu'
box = torch.tensor([[0, 0, 0, 2, 2.0]], device=device)
RoIAlign(1)(torch.ones(1, 1, 4, 4, device=device), box)
EOF
}
if ! runs; then
  mmcv=$("$python" "$root/tools/build_mmcv.py" --package "$mmcv_package")
  mmcv=${mmcv##*$'\n'}
  pip install -q --force-reinstall --no-deps "$mmcv"
fi

say "MMEngine, MMDetection and the like ($stack)"
# MMDetection's build imports PyTorch, where it is no binary wheel.
pip install -q --no-deps --no-build-isolation $(cd "$root/requirements" && grep -hvE "^(#|$mmcv_package)" $packages)

say 'the other packages, with exactly one OpenCV'
for other in opencv-python opencv-python-headless opencv-contrib-python-headless; do
  if installed "$other" && ! { [ "$other" = opencv-contrib-python-headless ] && ! installed opencv-contrib-python; }; then
    pip uninstall -q -y "$other"
  fi
done
requirements=$(mktemp)
trap 'rm -f "$requirements"' EXIT
cp "$root/requirements/runtime.txt" "$requirements"
if installed opencv-contrib-python-headless; then
  sed -i 's/^opencv-contrib-python/&-headless/' "$requirements"
fi
pip install -q -r "$requirements" -r "$root/requirements/tests.txt" 2>&1 |
  { grep -vE "dependency resolver|requires opencv-python|^$" || true; }
if ! "$python" -c 'import cv2; cv2.ximgproc.segmentation' 2>/dev/null; then
  if "$python" -c 'import cv2' 2>&1 | grep -qE 'lib(GL|gthread|glib|X|xcb)'; then
    say 'this machine has no graphics libraries: taking the headless build of OpenCV'
    pip uninstall -q -y opencv-contrib-python
    package=opencv-contrib-python-headless
  else
    package=opencv-contrib-python   # another OpenCV had overwritten its files
  fi
  pip install -q --force-reinstall --no-deps "$(grep '^opencv' "$root/requirements/runtime.txt" | sed "s/^opencv-contrib-python/$package/")"
fi

say 'soco_mm itself'
pip install -q --no-deps --no-build-isolation -e "$root"

"$python" -m soco_mm.cli doctor --quiet
printf '%s' "$FORCE_CUDA" > "$kept"
printf '%s' "$root $stack $state $device $(versions)" > "$stamp.partial" && mv "$stamp.partial" "$stamp"
say "done in $((SECONDS - started)) s"
$here || say "activate it with: source ${venv##*/}/bin/activate"
