#!/bin/sh
# Date: 2026-12-01. Versions: trl 1.16.0, transformers 5.23.0, torch 2.13.0 (CPU), Python 3.11.
# The likely guess: copy.deepcopy(model) is a model of its own, so that a copy of the learner, taken in the middle of a
#   run, is a frozen snapshot: an opponent for self-play, a reference, the state before a step.
# What is so: once a GRPOTrainer has been made for it (RLOO and KTO trainers do the same), a copy holds its own weights and
#   computes with those of the model in training. The trainer puts a function around the model's forward pass that holds
#   on to the original one, and deepcopy copies no closures: the copy's state_dict never changes, and yet its logits are
#   the learner's of today, learner's dropout and gradients included. A copy made before the trainer is one, and so is
#   what save_pretrained writes and from_pretrained reads.
# Why it matters: a "frozen" opponent learns along with the learner, a divergence from such a reference is 0 whatever is
#   learnt, and nothing shows it: weights that are compared differ, as they should. Copy before the trainer is made, save
#   and load, or delete the attribute "forward" of every module of the copy.
# Output seen:
#   two steps moved the learner's logits by up to 2.05
#   copy made before the trainer: weights unchanged, logits the start's
#   copy made after it: weights unchanged, logits the learner's
#   copy made after it, every 'forward' of an instance deleted: weights unchanged, logits the start's
#   copy saved after it, and loaded: weights unchanged, logits the start's
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0
"$work/venv/bin/pip" install --quiet torch==2.13.0 trl==1.16.0 transformers==5.23.0 tokenizers==0.23.3 datasets==5.2.0 numpy==2.4.6
cat > "$work/copies.py" <<'PYTHON'
import copy
import sys

import torch
import transformers
import trl
from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

folder = sys.argv[1]
tokens = ["<pad>", "<eos>", "\n", *map(chr, range(32, 96))]
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=[])),
    pad_token="<pad>",
    eos_token="<eos>",
)
torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=len(tokens), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=2, pad_token_id=0, bos_token_id=None, eos_token_id=1,
)  # fmt: skip
model = LlamaForCausalLM(config)
ids = torch.arange(3, 11)[None]


def logits(policy):
    with torch.no_grad():
        return policy(ids).logits


copies = {"made before the trainer": copy.deepcopy(model)}
trainer = GRPOTrainer(
    model=model,
    reward_funcs=lambda completions, **_: [sum(map(ord, text)) for text in completions],
    args=GRPOConfig(
        output_dir=f"{folder}/run", max_steps=2, num_generations=4, per_device_train_batch_size=4, learning_rate=0.1,
        max_completion_length=8, use_cpu=True, bf16=False, report_to=[], save_strategy="no", disable_tqdm=True,
    ),
    train_dataset=Dataset.from_dict({"prompt": ["HOW MUCH IS IT?"] * 8}),
    processing_class=tokenizer,
)  # fmt: skip
copies["made after it"] = copy.deepcopy(trainer.model)
mended = copies["made after it, every 'forward' of an instance deleted"] = copy.deepcopy(trainer.model)
for module in mended.modules():
    vars(module).pop("forward", None)
trainer.model.save_pretrained(f"{folder}/saved")
copies["saved after it, and loaded"] = AutoModelForCausalLM.from_pretrained(f"{folder}/saved")

started = {name: {key: value.clone() for key, value in held.state_dict().items()} for name, held in copies.items()}
start = logits(copies["made before the trainer"])
trainer.train()
trainer.model.eval()
now = logits(trainer.model)

print(f"trl {trl.__version__}, transformers {transformers.__version__}, torch {torch.__version__}")
print(f"two steps moved the learner's logits by up to {(now - start).abs().max():.2f}")
for name, held in copies.items():
    kept = all(torch.equal(value, started[name][key]) for key, value in held.state_dict().items())
    held.eval()
    found = logits(held)
    whose = "the start's" if torch.allclose(found, start, atol=1e-5) else "the learner's" if torch.equal(found, now) else "?"
    print(f"copy {name}: weights {'unchanged' if kept else 'changed'}, logits {whose}")
PYTHON
"$work/venv/bin/python" "$work/copies.py" "$work" 2>/dev/null | grep "^trl\|^two\|^copy" | tee "$work/found.txt"
expect() { grep -qxF "copy $1: weights unchanged, logits $2" "$work/found.txt"; }
if expect "made before the trainer" "the start's" && expect "made after it" "the learner's" &&
    expect "made after it, every 'forward' of an instance deleted" "the start's" &&
    expect "saved after it, and loaded" "the start's"; then
    echo "As found: a copy of a model that a trainer holds computes with the weights in training."
else
    echo "This has changed: see the header." >&2
    exit 1
fi
