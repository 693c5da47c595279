#!/bin/sh
# Date: 2026-11-30. Versions: peft 0.21.2, transformers 5.23.0, torch 2.13.0 (CPU), Python 3.11.
# The likely guess: LoraConfig(target_modules=[...]) is saved as the list that was given, so that adapter_config.json of
#   the same training is the same file.
# What is so: the list becomes a set, and its order in adapter_config.json changes with the hash seed of the process; the
#   weights beside it (adapter_model.safetensors) are the same bytes. Nothing in the file says that order means nothing.
# Why it matters: a fingerprint over the files of an adapter, or a diff of two configurations, sees another adapter where
#   there is none, and a run is not resumed, or a cache not used. Compare the fields, target_modules as a set.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0
"$work/venv/bin/pip" install --quiet torch==2.13.0 transformers==5.23.0 peft==0.21.2 numpy==2.4.6
cat > "$work/save.py" <<'PYTHON'
import hashlib
import json
import pathlib
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
sizes = dict(vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1)
model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=2))
given = ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"]
folder = pathlib.Path(sys.argv[1])
get_peft_model(model, LoraConfig(r=2, target_modules=given)).save_pretrained(folder)
saved = json.loads((folder / "adapter_config.json").read_text())["target_modules"]
assert set(saved) == set(given)
digest = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest()[:12] for name in ("adapter_config.json", "adapter_model.safetensors")}
print(digest["adapter_config.json"], digest["adapter_model.safetensors"], ",".join(saved))
PYTHON
python() { HF_HUB_OFFLINE=1 "$work/venv/bin/python" "$@"; }
python -c "import peft, torch, transformers; print('peft', peft.__version__, 'transformers', transformers.__version__, 'torch', torch.__version__)"
for seed in 1 2 3 4; do PYTHONHASHSEED=$seed python "$work/save.py" "$work/$seed" 2>/dev/null | tail -n 1 | tee -a "$work/seen.txt"; done
configs=$(cut -d' ' -f1 "$work/seen.txt" | sort -u | wc -l)
weights=$(cut -d' ' -f2 "$work/seen.txt" | sort -u | wc -l)
echo "four processes: $configs different adapter_config.json, $weights different adapter_model.safetensors"
if [ "$configs" -gt 1 ] && [ "$weights" -eq 1 ]; then
    echo "As found: the order of target_modules is lost, and the file differs from process to process."
else
    echo "This has changed: see the header." >&2
    exit 1
fi
