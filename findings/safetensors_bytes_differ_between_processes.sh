#!/bin/sh
# Date: 2026-11-30. Versions: safetensors 0.8.0, numpy 2.4.6, Python 3.11.
# The likely guess: a safetensors file is a plain function of its tensors and metadata, so that a hash of the file
#   tells whether two checkpoints hold the same weights.
# What is so: with two or more metadata entries the header lists them in an order that is drawn anew in every process.
#   Equal tensors and equal metadata give other bytes from run to run; with one entry the bytes stay the same.
#   (transformers writes one entry, {"format": "pt"}; trainers and adapters that add a second one are affected.)
# Why it matters: caches, manifests and "is this the same reward model?" checks that hash the file take the same weights
#   for others. Hash the tensors, name by name, instead.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet safetensors==0.8.0 numpy==2.4.6
cat > "$work/save.py" <<'PYTHON'
import hashlib
import sys

import numpy as np
from safetensors.numpy import load, save

tensors = {"heads.weight": np.arange(6, dtype=np.float32).reshape(2, 3)}
content = save(tensors, metadata={f"entry {i}": str(i) for i in range(int(sys.argv[1]))})
assert np.array_equal(load(content)["heads.weight"], tensors["heads.weight"])
print(hashlib.sha256(content).hexdigest()[:16])
PYTHON
python() { "$work/venv/bin/python" "$@"; }
python -c "import numpy, safetensors; print('safetensors', safetensors.__version__, 'numpy', numpy.__version__)"
for entries in 1 6; do
    for run in 1 2 3 4 5 6; do python "$work/save.py" "$entries"; done | sort -u > "$work/$entries.txt"
    echo "$entries metadata entries, six processes: $(wc -l < "$work/$entries.txt") different files: $(tr '\n' ' ' < "$work/$entries.txt")"
done
if [ "$(wc -l < "$work/1.txt")" -eq 1 ] && [ "$(wc -l < "$work/6.txt")" -gt 1 ]; then
    echo "As found: the same tensors with the same metadata are saved as other bytes in every process."
else
    echo "This has changed: see the header." >&2
    exit 1
fi
