#!/usr/bin/env bash
# Proves that recognition works where the pinned set of `make env` is not:
#   lite    mmcv-lite, the rest as pinned, an editable install
#   numpy2  mmcv-lite, the newest NumPy and OpenCV, an installed wheel
# Builds throw-away environments and trains, resumes and tests a tiny model in
# each through MMAction2's own tools.
#   tools/dev/check_matrix.sh [lite] [numpy2]
# TORCH, PYTHON as for `make env`; KEEP=folder keeps the environments there.
set -euo pipefail
ROOT="$(cd "$(dirname "$0")/../.." && pwd)"
PYTHON=${PYTHON:-python3}
TORCH=${TORCH:-torch==2.13.0}
WORK=${KEEP:-$(mktemp -d)}
mkdir -p "$WORK"
if [ -z "${KEEP:-}" ]; then
    trap 'rm -rf "$WORK"' EXIT
fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# Nothing of the checkout may be found but what is installed.
unset PYTHONPATH

build_lite() {
    "$PYTHON" "$ROOT/tools/dev/install_env.py" --venv "$WORK/lite" \
        --torch "$TORCH" --mmcv lite
}

build_numpy2() {
    [ -x "$WORK/numpy2/bin/python" ] || "$PYTHON" -m venv "$WORK/numpy2"
    # A copy: building a wheel leaves files in the source folder.
    rm -rf "$WORK/source"
    mkdir "$WORK/source"
    (cd "$ROOT" && tar -cf - --exclude=.git --exclude='.venv*' .) \
        | tar -xf - -C "$WORK/source"
    "$WORK/numpy2/bin/python" -m pip install -q "$TORCH" 'numpy>=2' \
        mmcv-lite==2.1.0 "$WORK/source"
    "$WORK/numpy2/bin/python" "$ROOT/tools/check_env.py"
}

check() {
    local name=$1
    local python="$WORK/$name/bin/python"
    cd "$WORK"
    "$python" -W ignore - <<'EOF'
import importlib.util
import sys

import cv2
import mmcv
import numpy
import torch

import mmaction_memvit

print('mmaction_memvit', mmaction_memvit.__file__)
print('torch', torch.__version__, 'numpy', numpy.__version__, 'cv2',
      cv2.__version__, 'compiled operators:',
      importlib.util.find_spec('mmcv._ext') is not None)
assert 'mmdet' not in sys.modules
try:
    mmaction_memvit.compat.require_compiled_ops('This check')
except mmaction_memvit.HostError as error:
    print('says what it lacks:', str(error)[:78], '...')
EOF
    for backbone in MViT MeMViT; do
        echo "$name, $backbone:"
        rm -rf "$WORK/smoke"
        "$python" "$ROOT/tools/dev/smoke_recognition.py" \
            --work-dir "$WORK/smoke" --backbone "$backbone"
    done
}

[ $# -gt 0 ] || set -- lite numpy2
for name in "$@"; do
    case $name in
        lite | numpy2) ;;
        *) echo "Unknown environment $name: lite or numpy2" >&2; exit 2 ;;
    esac
    echo "== $name"
    "build_$name"
    check "$name"
done
echo 'All environments passed.'
