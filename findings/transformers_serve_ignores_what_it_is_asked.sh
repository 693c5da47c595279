#!/bin/sh
# Date: 2026-12-01. Versions: transformers 5.23.0, fastapi 0.165.0, torch 2.13.0 (CPU), Python 3.11.
# The likely guess: an OpenAI-compatible server either does what a field of the request says (response_format, n,
#   logprobs) or answers that it cannot, so that a reply of status 200 has the asked form.
# What is so: `transformers serve` answers 200 to all three and heeds none: words instead of the JSON of the schema, one
#   choice instead of three, no log-probabilities. The client is told nothing; a line in the server's log names what was
#   left out.
# Why it matters: a judge that relies on the server to hold a small model to its schema gets free text, self-consistency
#   over n choices has one vote, and what needs log-probabilities finds none. Ask the server once for a schema that the
#   model would not keep by itself before you rely on it.
set -eu
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0
"$work/venv/bin/pip" install --quiet torch==2.13.0 transformers==5.23.0 tokenizers==0.23.3 fastapi==0.165.0 starlette uvicorn openai accelerate==1.15.0 numpy==2.4.6 pydantic rich
cat > "$work/make.py" <<'PYTHON'
import sys

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

letters = ["<pad>", "<eos>", *map(chr, range(32, 127)), "\n"]
tokenizer = Tokenizer(models.WordLevel({token: i for i, token in enumerate(letters)}, unk_token="<pad>"))
tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")
fast.chat_template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
fast.save_pretrained(sys.argv[1])
torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=len(letters), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=2, initializer_range=0.3, pad_token_id=0, bos_token_id=None, eos_token_id=1,
)  # fmt: skip
LlamaForCausalLM(config).save_pretrained(sys.argv[1])
PYTHON
cat > "$work/ask.py" <<'PYTHON'
import json
import sys
import time
import urllib.error
import urllib.request

url, model = sys.argv[1:]
for _ in range(240):
    try:
        urllib.request.urlopen(url + "/health", timeout=5).close()
        break
    except (urllib.error.URLError, OSError):
        time.sleep(0.5)


def ask(**fields):
    body = {"model": model, "messages": [{"role": "user", "content": "Score it."}], "max_tokens": 24, "seed": 1, **fields}
    request = urllib.request.Request(
        url + "/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as response:
        return response.status, json.loads(response.read())


schema = {"type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"], "additionalProperties": False}
status, reply = ask(response_format={"type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": schema}})
text = reply["choices"][0]["message"]["content"]
try:
    parsed = isinstance(json.loads(text), dict)
except ValueError:
    parsed = False
print(f"response_format: status {status}, JSON of the schema: {parsed}")
status_n, reply_n = ask(n=3)
print(f"n=3: status {status_n}, {len(reply_n['choices'])} choice")
status_l, reply_l = ask(logprobs=True, top_logprobs=2)
print(f"logprobs=true: status {status_l}, log-probabilities: {reply_l['choices'][0].get('logprobs')}")
as_found = (status, parsed, status_n, len(reply_n["choices"]), status_l, reply_l["choices"][0].get("logprobs"))
if as_found != (200, False, 200, 1, 200, None):
    sys.exit(f"this has changed: {as_found}")
PYTHON
port=$("$work/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$work/venv/bin/python" "$work/make.py" "$work/model"
HF_HUB_OFFLINE=1 HF_HOME="$work/home" "$work/venv/bin/transformers" serve --host 127.0.0.1 --port "$port" --device cpu "$work/model" > "$work/log" 2>&1 &
server=$!
"$work/venv/bin/pip" list --format freeze | grep -E "^(transformers|fastapi|torch)=="
"$work/venv/bin/python" "$work/ask.py" "http://127.0.0.1:$port" "$work/model"
echo "lines in the server's log that say so: $(grep -c 'Ignoring unsupported fields' "$work/log")"
# Output seen:
# response_format: status 200, JSON of the schema: False
# n=3: status 200, 1 choice
# logprobs=true: status 200, log-probabilities: None
# lines in the server's log that say so: 3
