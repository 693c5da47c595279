from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from sotopia_env.episodes import Episode, Judgement
from sotopia_env.policies import TokenTrace
from sotopia_env.resolve import make_policy
from sotopia_env.rollouts.rollout import rollout
from sotopia_env.showing.runs import Run
from sotopia_env.training.viewer.data import equal_tasks, index_of, record_of


def played(policy: str, seed: int = 0) -> list[Episode]:
    policies = [make_policy(policy), make_policy("scripted:warm")]
    tasks = "bargain:test?agreement=formal"
    return rollout(tasks, policies, num_episodes=3, seed=seed, reward="episode + 0.5 * length")


@pytest.fixture(scope="module")
def firm() -> list[Episode]:
    return played("scripted:firm")


def test_a_row_holds_what_lists_are_filtered_and_sorted_by(firm: list[Episode]) -> None:
    index = index_of([Run("a", firm)])
    assert index["measures"] == [
        "goal",
        "relationship",
        "knowledge",
        "secret",
        "social rules",
        "material benefits",
        "believability",
        "reward episode",
        "reward length",
        "reward episode + 0.5 * length",
    ]
    row = index["rows"][0]
    assert (row["key"], row["family"], row["ending"], row["turns"], row["invalid"]) == (
        "0-0",
        "bargain",
        "agreement",
        7,
        0,
    )
    assert row["policies"] == ["scripted:firm", "scripted:warm"]
    assert row["values"][0] == [3.25, 7.75]
    assert row["values"][7] == [0.325, 0.775]


def test_unknown_values_stay_unknown(firm: list[Episode]) -> None:
    unknown = replace(
        firm[0],
        judgements=(Judgement("rule", "4", {"goal": [None, 7.75]}), Judgement("mine", "1", {"goal": [0.0, None]})),
        rewards={"mine": {"agent_0": [None, 0.0, 0.0, 0.0]}},
    )
    index = index_of([Run("a", [unknown, firm[1]])])
    assert index["measures"][:3] == ["goal (rule)", "goal (mine)", "reward mine"]
    assert index["rows"][0]["values"][:3] == [[None, 7.75], [0.0, None], [None, None]]
    assert index["rows"][1]["values"][:3] == [[6.53846, 4.46154], None, None]
    record = record_of(unknown)
    assert [turn.get("paid") for turn in record["turns"][:3]] == [{0: None}, None, {0: 0.0}]


def test_equal_tasks_are_matched_by_key_or_else_by_seed(firm: list[Episode]) -> None:
    soft = played("scripted:soft")
    assert equal_tasks([Run("a", firm), Run("b", soft[::-1])]) == [0, 1, 2, 2, 1, 0]
    renamed = [replace(episode, key=f"other-{episode.key}") for episode in soft]
    assert equal_tasks([Run("a", firm), Run("b", renamed)]) == [0, 1, 2, 0, 1, 2]
    both_seats = [replace(episode, key=f"{episode.key}-{seat}") for episode in firm for seat in (0, 1)]
    again = [replace(episode, key=f"again-{episode.key}") for episode in both_seats]
    assert equal_tasks([Run("a", both_seats), Run("b", again)]) == [0, 1, 2, 3, 4, 5] * 2
    assert equal_tasks([Run("a", firm), Run("b", played("scripted:firm", seed=9))]) == [0, 1, 2, 3, 4, 5]


def test_a_record_holds_the_talk_with_its_rewards_and_offers(firm: list[Episode]) -> None:
    record = record_of(firm[0])
    assert record["rewards"] == ["episode", "length", "episode + 0.5 * length"]
    assert record["turns"][6] == {
        "seat": 0,
        "index": 6,
        "type": "action",
        "text": "accept",
        "offers": ("$150", "$155"),
        "paid": {0: 0.325, 1: 0.0, 2: 0.325},
    }
    assert record["seats"][0]["secret"] == firm[0].task.characters[0].secret
    assert record["judgements"][0]["scores"][0] == ["goal", [3.25, 7.75]]
    assert record["judgements"][0]["evidence"][0] == [
        "goal",
        [["turn 6: $155 gives 25% of the zone"], ["turn 6: $155 gives 75% of the zone"]],
    ]
    assert "tokens" not in record


def test_tokens_stand_with_the_turns_that_they_make(firm: list[Episode]) -> None:
    episode = firm[0]
    traces = {
        ("0-0", "agent_1"): [TokenTrace((1,), (7, 8), (-0.5, -2.0)), TokenTrace((1,), (9,), None)],
        ("other", "agent_0"): [TokenTrace((1,), (7,))],
    }
    asked: list[tuple[str, Sequence[int]]] = []

    def decode(policy: str, ids: Sequence[int]) -> list[str]:
        asked.append((policy, ids))
        return [f"t{index}" for index in ids]

    assert record_of(episode, traces, decode)["tokens"] == {1: [["t7", -0.5], ["t8", -2.0]], 3: [["t9", None]]}
    assert asked == [("scripted:warm", (7, 8)), ("scripted:warm", (9,))]
    assert record_of(episode, traces)["tokens"][3] == [["⟨9⟩", None]]
