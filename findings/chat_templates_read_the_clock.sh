#!/bin/sh
# Date: 2026-11-30. Versions: transformers 5.23.0, tokenizers 0.23.3, trl 1.16.0 (its chat_templates/ folder), Python 3.11.
# The likely guess: apply_chat_template is a function of the messages and its arguments, so that the same conversation is
#   the same tokens tomorrow, and on every machine.
# What is so: the templates of gpt-oss and Llama 3.2 write the local date into the system prompt. At one and the same
#   moment two time zones get other tokens for the same messages, and so does one machine after midnight. Llama 3.2's
#   date can be given (date_string=...); gpt-oss ignores that name and no argument sets its date: a function passed as
#   strftime_now hides the library's own, is turned into a string like every argument that is not plain data, and the
#   call ends in "TypeError: 'str' object is not callable".
# Why it matters: prompts kept as tokens, prefix caches, fingerprints of data and tests with fixed token ids hold for a
#   day; a run that is resumed the next day, or two workers in two zones, see other prompts. Keep the tokens that were
#   used, or write the date into the template's text before it is used.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet transformers==5.23.0 tokenizers==0.23.3 jinja2==3.1.6 numpy==2.4.6
"$work/venv/bin/pip" install --quiet --no-deps trl==1.16.0
cat > "$work/render.py" <<'PYTHON'
import hashlib
import sys
from importlib.util import find_spec
from pathlib import Path

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

folder = Path(find_spec("trl").submodule_search_locations[0]) / "chat_templates"
letters = ["\n", *map(chr, range(32, 127))]
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[])), bos_token="<s>"
)
tokenizer.chat_template = (folder / f"{sys.argv[1]}.jinja").read_text()


def tokens(**given):
    messages = [{"role": "user", "content": "Hello"}]
    try:
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, **given)["input_ids"]
    except TypeError as error:
        return f"{type(error).__name__}: {error}"
    return f"{len(ids)} tokens, digest {hashlib.sha256(str(ids).encode()).hexdigest()[:12]}"


print("as it is:", tokens())
print("date_string='01 Jan 2026':", tokens(date_string="01 Jan 2026"))
print("strftime_now=a function:", tokens(strftime_now=lambda _: "2026-01-01"))
PYTHON
"$work/venv/bin/python" - 2>/dev/null <<'PYTHON'
from importlib.metadata import version

print(", ".join(f"{name} {version(name)}" for name in ("transformers", "tokenizers", "trl")))
PYTHON
for template in gptoss llama3_2; do
    # 26 hours lie between these two zones, so that at every moment they have two dates.
    for zone in Etc/GMT+12 Etc/GMT-14; do
        echo "$template, where it is $(TZ=$zone date +%Y-%m-%d):"
        TZ=$zone HF_HUB_OFFLINE=1 "$work/venv/bin/python" "$work/render.py" "$template" 2>/dev/null | tee -a "$work/$template.txt" | sed 's/^/    /'
    done
done
count() { grep -F "$2" "$work/$1.txt" | sort -u | wc -l; }
same_as_given() { sed 's/^[^:]*: //' "$work/gptoss.txt" | grep digest | sort -u | wc -l; }
refused="strftime_now=a function: TypeError: 'str' object is not callable"
if [ "$(count gptoss 'as it is: ')" -eq 2 ] && [ "$(count llama3_2 'as it is: ')" -eq 2 ] &&
    [ "$(count llama3_2 date_string)" -eq 1 ] && [ "$(same_as_given)" -eq 2 ] &&
    [ "$(grep -cxF "$refused" "$work/gptoss.txt")" -eq 2 ]; then
    echo "As found: the tokens follow the clock, and nothing that can be passed sets gpt-oss's date."
else
    echo "This has changed: see the header." >&2
    exit 1
fi
