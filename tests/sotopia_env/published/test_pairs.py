"""Training pairs and reward rows, read and made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sotopia_env.episodes import Episode
from sotopia_env.errors import RecordError
from sotopia_env.published import DataWarning, Pair, load_pairs, save_pairs, training_pairs
from sotopia_env.rendering import parse_output


def test_a_pair_for_each_act(episode: Episode) -> None:
    pairs = training_pairs([episode])
    assert [json.loads(pair.output) for pair in pairs] == [
        {"action_type": "speak", "argument": "Hello, may I have it?"},
        {"action_type": "action", "argument": "shakes the ladder"},
        {"action_type": "leave", "argument": ""},
    ]
    assert "Turn #0: Ada" not in pairs[0].input
    assert 'Turn #0: Ada O\'Neil said: "Hello, may I have it?"\n' in pairs[1].input
    assert "Turn #3 is yours" in pairs[2].input
    assert pairs[1].input.startswith("You are Zoë Ruiz.")
    for pair, turn in zip(pairs, [episode.turns[0], episode.turns[1], episode.turns[3]], strict=True):
        action, invalid = parse_output(pair.output)
        assert (action.type, action.text, invalid) == (turn.type, turn.text, None)


def test_native_pairs(episode: Episode) -> None:
    pairs = training_pairs([episode], "native")
    assert [pair.output for pair in pairs] == ["Hello, may I have it?", "[action] shakes the ladder", "[leave]"]
    assert pairs[1].input.endswith("You:")
    assert "Ada: Hello, may I have it?" in pairs[1].input
    with pytest.raises(ValueError, match="'chat' is none of native, sotopia"):
        training_pairs([episode], "chat")


def test_another_template(episode: Episode) -> None:
    pair = training_pairs([episode], template='{agent} {"a": 1} {turn} {no}')[1]
    assert pair.input == 'Zoë Ruiz {"a": 1} 1 {no}'


def test_an_utterance_cannot_fill_a_blank(episode: Episode) -> None:
    first = replace(episode.turns[0], text="{turn} {agent}")
    pairs = training_pairs([replace(episode, turns=(first, *episode.turns[1:]))], template="{history}")
    assert 'said: "{turn} {agent}"' in pairs[1].input


def test_reward_rows_leave_out_what_is_unknown(episode: Episode) -> None:
    labelled = episode.with_rewards("mine", {"agent_0": [0.5, 1.0], "agent_1": [None, 0.0]})
    assert [pair.value for pair in training_pairs([labelled], reward="mine")] == [0.5, 0.0]
    with pytest.raises(ValueError, match="it carries no reward 'other', but mine"):
        training_pairs([labelled], reward="other")


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_rows_round_trip(tmp_path: Path, name: str) -> None:
    pairs = [Pair("a\nb", "c"), Pair("d", "é", 0.0), Pair("e", "", -1.5)]
    assert save_pairs(pairs, tmp_path / name) == 3
    assert load_pairs(tmp_path / name) == pairs
    assert "value" not in json.loads((tmp_path / name).read_text().splitlines()[0].strip("[ ,") or "{}")


def test_a_bad_row_is_reported_and_skipped(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"input": "a", "output": "b"}, {"input": "", "output": "b"}, {"input": "a"}]
    rows += [{"input": "a", "output": "b", "value": "high"}, {"input": "a", "output": 3}]
    path.write_text("\n".join(map(json.dumps, rows)) + '\nnull\n{"input": "a", "output": "b", "value": NaN}')
    with pytest.warns(DataWarning) as caught:
        assert load_pairs(path) == [Pair("a", "b")]
    said = [str(warning.message) for warning in caught]
    for line, field in ((2, "input"), (3, "output"), (4, "value"), (5, "output"), (7, "value")):
        assert f"rows.jsonl line {line}: field '{field}'" in " ".join(said)
    assert "rows.jsonl line 6: a JSON object is needed" in " ".join(said)
    assert "1 rows loaded, 6 records reported" in said[-1]
    with pytest.raises(RecordError, match="line 2"):
        load_pairs(path, on_error="raise")


def test_a_file_without_rows_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("[]")
    with pytest.raises(ValueError, match="there is no row in it"):
        load_pairs(tmp_path / "rows.json")
