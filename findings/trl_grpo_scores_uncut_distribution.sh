#!/bin/sh
# Date: 2026-11-30. Versions: trl 1.16.0, transformers 5.23.0, torch 2.13.0 (CPU), Python 3.11.
# The likely guess: GRPOTrainer scores its completions with the distribution that it drew them from, so that the
#   importance ratio is a ratio of probabilities of the policy that acted.
# What is so: top_k, top_p and min_p cut the distribution that is drawn from, and only that one: the drawn tokens are
#   scored over the whole vocabulary. With top_k=1 every token is drawn with probability 1, and the trainer keeps a small
#   fraction for it; nothing warns. Without a cut, and with a temperature alone, the two agree. (The project has an open
#   report of it for generation by vLLM, huggingface/trl issue 6789; here transformers generates.)
# Why it matters: ratio, clipping and gradient belong to a policy that never acted, and the entropy in the log is not
#   that of the draws. Leave top_k=0, top_p=1 and min_p unset in training, or read the numbers as those of another policy.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0
"$work/venv/bin/pip" install --quiet torch==2.13.0 trl==1.16.0 transformers==5.23.0 tokenizers==0.23.3 datasets==5.2.0 numpy==2.4.6
cat > "$work/train.py" <<'PYTHON'
import sys

import torch
import transformers
import trl
from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers import MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper
from trl import GRPOConfig, GRPOTrainer

tokens = ["<pad>", "<eos>", "\n", *map(chr, range(32, 96))]
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=[])),
    pad_token="<pad>",
    eos_token="<eos>",
)
WARPERS = {"top_k": TopKLogitsWarper, "top_p": TopPLogitsWarper, "min_p": MinPLogitsWarper}


class Recorder(GRPOTrainer):
    """The trainer as it is; it keeps what it has scored."""

    def _generate_and_score_completions(self, inputs):
        self.kept = super()._generate_and_score_completions(inputs)
        # The probabilities that transformers draws with: the logits of the same weights, by temperature and with the cut.
        ids = torch.cat([self.kept["prompt_ids"], self.kept["completion_ids"]], dim=1)
        length = self.kept["completion_ids"].shape[1]
        with torch.no_grad():
            logits = self.model(ids).logits[:, -length - 1 : -1] / self.temperature
        for name, warper in WARPERS.items():
            if name in self.sampling:
                logits = warper(self.sampling[name])(ids, logits.flatten(0, 1)).view_as(logits)
        self.drawn = logits.softmax(-1).gather(-1, self.kept["completion_ids"].unsqueeze(-1)).squeeze(-1)
        return self.kept


def step(**sampling):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokens), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, initializer_range=0.3, pad_token_id=0, bos_token_id=None, eos_token_id=1,
    )  # fmt: skip
    arguments = GRPOConfig(
        output_dir=sys.argv[1], max_steps=1, num_iterations=2, num_generations=8, per_device_train_batch_size=8,
        max_completion_length=8, use_cpu=True, bf16=False, report_to=[], save_strategy="no", disable_tqdm=True, **sampling,
    )  # fmt: skip
    trainer = Recorder(
        model=LlamaForCausalLM(config),
        reward_funcs=lambda completions, **_: [1.0] * len(completions),
        args=arguments,
        train_dataset=Dataset.from_dict({"prompt": ["HOW MUCH IS IT?"] * 8}),
        processing_class=tokenizer,
    )
    trainer.sampling = sampling
    trainer.train()
    mask = trainer.kept["completion_mask"].bool()
    drawn, scored = trainer.drawn[mask], trainer.kept["old_per_token_logps"].exp()[mask]
    name = ", ".join(f"{key}={value}" for key, value in sampling.items()) or "as it is"
    sys.stderr.write(f"{name}: mean probability when drawn {drawn.mean():.4f}, when scored {scored.mean():.4f}\n")
    return drawn, scored


sys.stderr.write(f"trl {trl.__version__}, transformers {transformers.__version__}, torch {torch.__version__}\n")
for uncut in ({}, {"temperature": 0.7}):
    drawn, scored = step(**uncut)
    assert torch.allclose(drawn, scored, atol=1e-4), "uncut, the two differ"
for cut in ({"top_k": 1}, {"top_k": 5}, {"top_p": 0.5}, {"min_p": 0.2}):
    drawn, scored = step(**cut)
    assert (drawn > 0).all(), "a token was drawn that the cut leaves out"
    assert (scored < 0.999 * drawn).all(), "with a cut, the two agree"
    assert cut != {"top_k": 1} or (drawn == 1).all()
PYTHON
if HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES="" "$work/venv/bin/python" "$work/train.py" "$work/out" > /dev/null 2> "$work/seen.txt"; then
    grep -E '^trl |probability' "$work/seen.txt"
    echo "As found: what is drawn from a cut distribution is scored over all tokens."
else
    tail -n 20 "$work/seen.txt" >&2
    echo "This has changed: see the header." >&2
    exit 1
fi
