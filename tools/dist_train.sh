#!/usr/bin/env bash
# Trains on several GPUs of one machine or of NNODES machines.
#   tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
#   NNODES=2 NODE_RANK=0 MASTER_ADDR=host PORT=29500 tools/dist_train.sh ...
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "Usage: $0 CONFIG GPUS [options of tools/train.py]" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2
HERE="$(cd "$(dirname "$0")" && pwd)"

PYTHONPATH="$(dirname "$HERE")${PYTHONPATH:+:$PYTHONPATH}" \
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$HERE/train.py" "$CONFIG" --launcher pytorch "${@:3}"
