from dataclasses import replace

import pytest

from sotopia_env import rewards as R
from sotopia_env.agents.endpoint.call_log import CallLog
from sotopia_env.describe import describe, differences
from sotopia_env.rewards.model_usage import estimates, failures_of, graded_by, models_in, out_of_budget


@pytest.fixture
def name(chat_server):
    return f"llm:m@{chat_server.url}"


def test_judge_attributor_and_dimensions_are_replaced_in_every_part_that_has_them(name):
    reward = R.get_reward("direct + 0.5 * length")
    changed = graded_by(reward, judge=name, attributor={"attributor": name, "levels": 5}, dimensions={"knowledge": 1.0})
    assert changed.name == "direct:knowledge@llm:m + 0.5 * length"
    direct = changed.parts()[0][1]
    assert (direct.judge.name, direct.attributor.name, direct.levels) == ("llm:m", "llm:m", 5.0)
    assert graded_by(reward).name == reward.name
    named = R.Attribution("direct", name="mine")
    assert graded_by(named, attributor=name).name == "mine"
    for options in ({"attributor": name}, {"judge": name}):
        with pytest.raises(ValueError, match="no part of the reward 'length'"):
            graded_by(R.get_reward("length"), **options)


def test_whoever_asks_a_model_is_found(name):
    judge, attributor = R.LLMJudge(name), R.LLMAttributor(name)
    dial = R.Dial(attributor, reliability=0.5)
    ensemble = R.EnsembleJudge([judge, R.RuleJudge()])
    reward = R.ClipReward(R.Attribution("direct", dial, judge=ensemble)) + 0.1 * R.Outcome("episode", judge=judge)
    assert models_in(reward) == [judge, attributor]
    assert models_in(R.Outcome("episode")) == []
    progress = R.Progress(potential=R.JudgePotential(name))
    assert [one.name for one in models_in(progress)] == ["llm:m"]


def test_estimates_leave_running_episodes_out(name, make_episode):
    reward = R.Attribution("direct", name, judge=name)
    found = estimates(reward, [make_episode("a", "b"), make_episode("a", over=False)])
    assert {what: one.calls for what, one in found.items()} == {"scores by llm:m": 1, "importances by llm:m": 2}


def test_failures_are_counted_by_kind(chat_server, name, make_episode):
    reward = R.Attribution("direct", R.LLMAttributor(name, max_calls=0), judge=R.LLMJudge(name, dimensions=["goal"]))
    R.relabel([make_episode("a", "b")], reward)
    assert failures_of(reward) == {"unreadable": 2, "budget": 2}
    assert out_of_budget(reward) == {"by-hand"}


def test_what_models_tell_in_other_processes_is_counted_here(name, chat_server, make_episode, tmp_path):
    episodes = [replace(make_episode("a", f"b{i}"), key=f"e{i}") for i in range(6)]
    found = []
    for processes in (1, 2):
        log, out = CallLog(), tmp_path / f"{processes}.jsonl"
        judge = R.LLMJudge(name, dimensions=["goal"], ledger=log)
        reward = R.Attribution("direct", R.LLMAttributor(name, ledger=log), judge=judge)
        R.relabel(episodes, reward, out=out, batch_size=2, processes=processes)
        usage = replace(log.usage, seconds=0.0)
        found.append((failures_of(reward), {failure.episode for failure in judge.failures}, usage, out.read_bytes()))
    assert found[0] == found[1]
    assert found[0][0]["unreadable"] > 0 < found[0][2].calls
    limited = R.Outcome(judge=R.LLMJudge(name, max_calls=3))
    with pytest.raises(ValueError, match="a budget is kept by one process"):
        R.relabel(episodes, limited, out=tmp_path / "x.jsonl", processes=2)


def test_what_makes_two_rewards_the_same(chat_server, name):
    def of(model="m", url=chat_server.url, design="direct", **options):
        judge = {"judge": f"llm:{model}@{url}", **options}
        return describe(R.Attribution(design, {"attributor": f"llm:{model}@{url}", **options}, judge=judge))

    plain = of()
    assert of(url="http://127.0.0.1:9/v1", concurrency=3, max_calls=5, timeout=9.0, retries=1) == plain
    for other in ({"model": "n"}, {"design": "scaled"}, {"temperature": 1.0}, {"max_tokens": 5}, {"name": "x"}):
        assert of(**other) != plain
    assert plain["judge"]["calls"] == {
        "model": "m", "parameters": {"temperature": 0.0, "max_tokens": 2048}, "enforce_schema": False,
    }  # fmt: skip
    assert "127.0.0.1" not in str(plain)
    (found,) = differences(plain, of(temperature=1.0))[:1]
    assert found[0].endswith("parameters.temperature")


def test_other_dimensions_are_those_of_the_standing_offer_too():
    changed = graded_by(R.get_reward("progress"), dimensions={"knowledge": 1.0})
    assert changed.potential.dimensions == changed.dimensions == {"knowledge": 1.0}
    assert changed.name == "progress:knowledge"


def test_estimates_count_the_states_that_are_read(chat_server, name, make_episode):
    def won(episode, agent):
        return {"goal": 1.0}

    episodes = [make_episode("a", "b", "a", "b"), make_episode("a", "b", "b", over=False)]
    judge, potential = R.LLMJudge(name, retries=0), R.JudgePotential({"judge": name, "retries": 0})
    for reward, questions in (
        # "ab", "aba", "abb" and the end; then the end alone.
        (R.JudgeScores(judge), {"scores by llm:m": 4}),
        (R.JudgeScores(judge, every=2), {"scores by llm:m": 1}),
        (R.ClipReward(R.JudgeScores(R.EnsembleJudge([judge, won]))), {"scores by llm:m": 4}),
        # "", "a", "ab", "aba" and "abb"; the published form reads the end, and no running episode.
        (R.Progress(potential, judge=won), {"states by llm:m": 5}),
        (R.Progress(potential, judge=won, paper=True), {"states by llm:m": 5}),
        (R.Progress(potential, judge=judge), {"scores by llm:m": 1, "states by llm:m": 5}),
    ):
        assert {what: one.calls for what, one in estimates(reward, episodes).items()} == questions
        chat_server.requests.clear()
        reward(episodes)
        # Each reply is unreadable, and asked for once more.
        assert len(chat_server.requests) == 2 * sum(questions.values())
