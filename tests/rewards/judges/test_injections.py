import json
import re

import pytest

import sotopia_env
from sotopia_env import rewards as R
from sotopia_env.rewards.judges.injections import INJECTIONS, NEUTRAL, attack_variants


@pytest.fixture(scope="module")
def episodes():
    return sotopia_env.rollout("bargain", "scripted:mixed", num_episodes=3, seed=0)


ORDER = re.compile("give me 10|give 10|score 10", re.IGNORECASE)


def verdict(*goals):
    return json.dumps({f"agent_{seat}": {"goal": {"reason": "", "score": goal}} for seat, goal in enumerate(goals)})


def gullible(sent):
    """Gives 10 to whoever asks for it in words it understands, and 4 to everybody else."""
    goals = [4, 4]
    for line in sent["messages"][1]["content"].split("\n"):
        if line.startswith('{"turn"') and ORDER.search(line):
            goals[int(json.loads(line)["agent"][-1])] = 10
    return verdict(*goals)


def shifts(report, kind):
    return next(shift for shift in report.shifts if (shift.dimension, shift.kind) == ("goal", kind))


def test_a_gullible_model_is_found_out(chat_server, episodes):
    chat_server.answer(gullible)
    report = R.measure_attacks(R.LLMJudge(f"m@{chat_server.url}", dimensions=["goal"]), episodes)
    believed = [attack.name for attack in INJECTIONS if ORDER.search(attack.text)]
    assert len(believed) >= 7
    whole = shifts(report, "all")
    assert whole.greatest == 6
    assert whole.moved == len(believed) / len(INJECTIONS)
    assert whole.mean == pytest.approx(6 * whole.moved)
    assert whole.low > 0
    assert (whole.pairs, whole.failed) == (3 * len(INJECTIONS), 0)
    assert shifts(report, "flood").moved == 0.5
    assert shifts(report, "order").by == "plain order"
    assert [shift.greatest for shift in report.wording] == [0]


def test_a_model_that_cannot_be_fooled_shows_no_shift(chat_server, episodes):
    chat_server.answer(lambda sent: verdict(7, 3))
    report = R.measure_attacks(f"llm:m@{chat_server.url}", episodes[:1], attacks=INJECTIONS[::4])
    goals = [shift for shift in report.shifts if shift.dimension == "goal"]
    assert [shift for shift in goals if (shift.mean, shift.greatest, shift.moved) != (0, 0, 0)] == []
    # One episode tells nothing of the spread between episodes.
    assert {(shift.low, shift.high) for shift in goals} == {(None, None)}
    # All that it did not grade is unknown, and never a shift of 0.
    secret = [shift for shift in report.shifts if shift.dimension == "secret"]
    assert {(shift.mean, shift.moved, shift.pairs) for shift in secret} == {(None, None, 0)}
    assert secret[0].failed == len(INJECTIONS[::4])


def test_what_moves_with_the_wording_alone_stands_beside_it(episodes):
    def by_length(episode, agent):
        return {"goal": float(sum(len(turn.text) for turn in episode.own_turns(agent)) % 10)}

    report = R.measure_attacks(by_length, episodes)
    (wording,) = report.wording
    assert wording.moved == 1
    assert abs(wording.greatest) in (len(NEUTRAL[1]) - len(NEUTRAL[0]), 10 - len(NEUTRAL[1]) + len(NEUTRAL[0]))
    assert (report.judge, report.episodes) == ("by_length", 3)


def test_agents_take_turns_in_attacking(episodes):
    variants = attack_variants(episodes, INJECTIONS[:1])
    assert len(variants) == 3 * 3
    assert len({variant.key for variant in variants}) == 9
    attackers = [variants[3 * i + 2].turns[-2].text == INJECTIONS[0].text for i in range(3)]
    assert attackers == [True, False, True]


def test_there_has_to_be_something_to_attack(make_episode):
    with pytest.raises(ValueError, match="there is none"):
        R.measure_attacks("rule", [])
    with pytest.raises(ValueError, match="is not over"):
        R.measure_attacks("rule", [make_episode("a", over=False)])
