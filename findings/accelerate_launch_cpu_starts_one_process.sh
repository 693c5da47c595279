#!/bin/sh
# Date: 2026-11-30. Versions: accelerate 1.15.0, torch 2.13.0, Python 3.11; every run without a GPU.
# The likely guess: `accelerate launch --cpu --num_processes 2 script.py` trains with two processes on the CPU.
# What is so: it starts one process. The number is accepted, and what is printed never says that it was not used.
#   torchrun starts two, and they find each other only if ACCELERATE_USE_CPU=true is set or the script says cpu=True:
#   without it each takes itself for the only one, and the same training runs twice, side by side. The variable is read
#   by Accelerator(), not by PartialState().
# Why it matters: a test of distributed training on a machine without a GPU passes with one process and proves nothing;
#   and with plain torchrun two trainings with half the intended batch write into one output folder. Start such a run
#   with `ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2`, and assert num_processes in the script.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0
"$work/venv/bin/pip" install --quiet torch==2.13.0 accelerate==1.15.0 numpy==2.4.6
cat > "$work/say.py" <<'PYTHON'
import sys

import accelerate

state = getattr(accelerate, sys.argv[1])()
sys.stdout.write(f"process {state.process_index} of {state.num_processes}, {state.distributed_type.value}\n")
PYTHON
# No configuration of this machine's user, and no GPU, is seen.
export HF_HOME="$work/home" CUDA_VISIBLE_DEVICES="" OMP_NUM_THREADS=1
unset ACCELERATE_USE_CPU
run() {
    name=$1
    shift
    echo "$name:"
    "$@" > "$work/said.txt" 2> "$work/errors.txt" || { cat "$work/errors.txt" >&2; exit 1; }
    sort "$work/said.txt" | tee "$work/$name.txt" | sed 's/^/    /'
}
"$work/venv/bin/python" -c "import accelerate, torch; print('accelerate', accelerate.__version__, 'torch', torch.__version__)"
run launch "$work/venv/bin/accelerate" launch --cpu --num_processes 2 "$work/say.py" Accelerator
silent=$(grep -ci 'num_processes\|num-processes' "$work/errors.txt" || true)
echo "    lines on stderr that speak of the number of processes: $silent"
run torchrun "$work/venv/bin/torchrun" --nproc_per_node 2 "$work/say.py" Accelerator
run torchrun-with-variable env ACCELERATE_USE_CPU=true "$work/venv/bin/torchrun" --nproc_per_node 2 "$work/say.py" Accelerator
run state-with-variable env ACCELERATE_USE_CPU=true "$work/venv/bin/torchrun" --nproc_per_node 2 "$work/say.py" PartialState
alone="process 0 of 1, NO"
twice="$alone
$alone"
pair="process 0 of 2, MULTI_CPU
process 1 of 2, MULTI_CPU"
if [ "$silent" -eq 0 ] && [ "$(cat "$work/launch.txt")" = "$alone" ] && [ "$(cat "$work/torchrun.txt")" = "$twice" ] &&
    [ "$(cat "$work/torchrun-with-variable.txt")" = "$pair" ] && [ "$(cat "$work/state-with-variable.txt")" = "$twice" ]; then
    echo "As found: launch --cpu starts one process whatever it is told, and torchrun's two are a pair only with the variable."
else
    echo "This has changed: see the header." >&2
    exit 1
fi
