#!/bin/sh
# Date: 2026-11-30. Versions: sotopia 0.1.5, pydantic 2.14.4, Python 3.11; storage backend "local".
# The likely guess: environmentprofiles_to_jsonl exports every EnvironmentProfile that Sotopia itself makes and stores.
# What is so: its record of an exported scenario is narrower than its model of one. The model has None for
#   age_constraint and occupation_constraint where nothing is said, the record only takes text; the model has a list of
#   lists in agent_constraint, the record only takes text or None. A profile made with the defaults, and one that names
#   characters, are refused with a ValidationError; one whose agent_constraint is None passes (it is written as "none").
#   The file is opened before: what it held is gone, and it ends before the profile that was refused. The CSV export
#   takes all of them. RelationshipProfile has the same in background_story.
# Why it matters: scenarios written for Sotopia cannot be handed on in its exchange format unless the constraints are
#   filled in with text ("nan" is what the published ones have), and one such profile ends the export of all.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet sotopia==0.1.5 pydantic==2.14.4
cat > "$work/export.py" <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError
from sotopia.database import EnvironmentProfile, RelationshipProfile
from sotopia.database import serialization

file = Path(sys.argv[1])


def export(profiles, function):
    """The fields that an export refuses."""
    try:
        function(profiles, str(file))
    except ValidationError as error:
        return [".".join(map(str, problem["loc"])) for problem in error.errors()]
    return []


def stored(profile):
    profile.save()
    again = type(profile).get(profile.pk)
    assert again == profile
    return again


texts = {"age_constraint": "[(18, 70), (18, 70)]", "occupation_constraint": "nan"}
kinds = {
    "defaults": {},
    "both constraints as text": texts,
    "as text, and characters named": {**texts, "agent_constraint": [["Ann Lee"], ["Bo Fox"]]},
}
print("sotopia", version("sotopia"), "pydantic", version("pydantic"))
scenes = {
    name: stored(EnvironmentProfile(codename=name, scenario="Two people share a cake.", agent_goals=["Eat.", "Share."], **given))
    for name, given in kinds.items()
}
refused = {name: export([scene], serialization.environmentprofiles_to_jsonl) for name, scene in scenes.items()}
for name, fields in refused.items():
    print(f"jsonl, {name}: {'refused for ' + ' and '.join(fields) if fields else 'written'}")
assert refused == {
    "defaults": ["age_constraint", "occupation_constraint"],
    "both constraints as text": [],
    "as text, and characters named": ["agent_constraint"],
}
assert not export(list(scenes.values()), serialization.environmentprofiles_to_csv)
print("csv, all three: written")
order = [scenes[name] for name in ("both constraints as text", "defaults", "both constraints as text")]
assert export(order, serialization.environmentprofiles_to_jsonl)
lines = len(file.read_text().splitlines())
print(f"jsonl, the second of three refused: the file has {lines} of 3 lines")
assert lines == 1
relation = stored(RelationshipProfile(agent_1_id="ann", agent_2_id="bo", relationship=3))
fields = export([relation], serialization.relationshipprofiles_to_jsonl)
print(f"jsonl, a relationship with defaults: refused for {' and '.join(fields)}")
assert fields == ["background_story"]
PYTHON
mkdir "$work/home"
if HOME="$work/home" SOTOPIA_STORAGE_BACKEND=local "$work/venv/bin/python" "$work/export.py" "$work/out.jsonl" > "$work/seen.txt" 2> "$work/errors.txt"; then
    grep -v "$work" "$work/seen.txt"
    echo "As found: what Sotopia stores it cannot always export."
else
    cat "$work/seen.txt"
    tail -n 5 "$work/errors.txt" >&2
    echo "This has changed: see the header." >&2
    exit 1
fi
