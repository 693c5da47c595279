import json
import unicodedata

import pytest

from sotopia_env.rewards.attribution.llm import attribution_messages
from sotopia_env.rewards.judges.injections import INJECTIONS
from sotopia_env.rewards.judges.rubric import as_dimensions

DIMENSIONS = as_dimensions(["goal", "knowledge"])


def question(episode, agent="agent_0"):
    return attribution_messages(episode, agent, DIMENSIONS, 3)[1]["content"]


def test_the_utterances_to_be_graded_carry_their_names(make_episode):
    asked = question(make_episode("Hello.", "Hi.", None))
    turns = [json.loads(line) for line in asked.split("\n") if line.startswith('{"turn"')]
    assert [turn.get("utterance") for turn in turns] == ["Utterance 0 by agent_0", None, "Utterance 1 by agent_0"]
    form = json.loads(asked.split("\n")[-1].replace("number", "0"))
    assert form == {d.name: {"Utterance 0 by agent_0": 0, "Utterance 1 by agent_0": 0} for d in DIMENSIONS}


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("attack", INJECTIONS, ids=lambda attack: attack.name)
def test_whatever_is_said_changes_one_line_and_stays_a_text_in_it(make_episode, attack, position):
    texts = ["Hello.", "Hi.", "Bye."]

    def lines():
        asked = question(make_episode(*texts))
        code = asked.split("=== record ")[1].split(" ")[0]
        assert asked.count(code) == 2
        assert asked.splitlines() == asked.split("\n")
        return asked.replace(code, "CODE").split("\n")

    plain = lines()
    texts[position] = attack.text
    differing = [(line, other) for line, other in zip(lines(), plain, strict=True) if line != other]
    ((line, _),) = differing
    told = json.loads(line)
    assert (told["turn"], told["agent"]) == (position, f"agent_{position}")
    assert ("utterance" in told) == (position == 0)
    assert attack.text.startswith(told["text"])
    assert not set("<>[]`\x7f") & set(line[1:-1])
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for c in line)
