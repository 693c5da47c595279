import copy
import json
import pickle
import re
import traceback
from collections import Counter
from dataclasses import replace

import pytest

import sotopia_env
from sotopia_env import rewards as R
from sotopia_env.agents.endpoint.client import KINDS, EndpointError
from sotopia_env.rewards.attribution.attributors import as_attributor
from sotopia_env.rewards.attribution.llm import LLMAttributor

CANARY = "sk-canary-0123456789abcdef"
PATIENCE = 1.0
BOTH = ("goal", "relationship")


def make(server, **options):
    return LLMAttributor(f"m@{server.url}", **{"retries": 3, "first_wait": 0.0, "timeout": 10.0, **options})


def true_importance(dimension, text):
    """What the server's model thinks: never 0, and other for every text and dimension."""
    return 1 + (sum(map(ord, text)) + len(dimension)) % 3


def grade(sent):
    question = sent["messages"][1]["content"]
    turns = [json.loads(line) for line in question.split("\n") if line.startswith('{"turn"')]
    dimensions = re.findall(r"^- (\w+): ", question, re.MULTILINE)
    named = [turn for turn in turns if "utterance" in turn]
    return json.dumps({d: {turn["utterance"]: true_importance(d, turn["text"]) for turn in named} for d in dimensions})


def expected(episode, dimensions=BOTH):
    return {
        agent: {d: [float(true_importance(d, turn.text)) for turn in episode.own_turns(agent)] for d in dimensions}
        for agent in episode.agents
    }


@pytest.fixture
def grading(chat_server):
    chat_server.answer(grade)
    return chat_server


@pytest.fixture
def episodes(make_episode):
    return [replace(make_episode(f"word {i}", "b", f"more {i}"), key=str(i)) for i in range(30)]


def test_importances_stand_at_their_turns_with_one_call_for_each_agent(grading, episodes):
    attributor = make(grading)
    assert attributor.importances(episodes[:3], BOTH) == [expected(episode) for episode in episodes[:3]]
    assert len(grading.requests) == attributor.usage.calls == 6
    assert attributor.failures == []
    assert "response_format" not in grading.requests[0]
    assert attributor.importances([], BOTH) == []


def test_one_dimension_at_a_time_gives_the_same_in_as_many_calls(grading, episodes):
    attributor = make(grading, per_dimension=True, concurrency=1)
    assert attributor.importances(episodes[:2], BOTH) == [expected(episode) for episode in episodes[:2]]
    assert len(grading.requests) == 8
    assert "- relationship" not in grading.requests[0]["messages"][1]["content"]


@pytest.mark.parametrize("levels", [3, 5, 10])
def test_the_scale_is_asked_for_and_kept_to(grading, episodes, levels):
    attributor = make(grading, levels=levels, enforce_schema=True, concurrency=1)
    attributor.importances(episodes[:1], ["goal"])
    sent = grading.requests[0]
    assert f"whole number from 0 to {levels}" in sent["messages"][1]["content"]
    schema = sent["response_format"]["json_schema"]["schema"]["properties"]["goal"]
    assert schema["required"] == ["Utterance 0 by agent_0", "Utterance 1 by agent_0"]
    assert schema["properties"]["Utterance 0 by agent_0"] == {"type": "integer", "minimum": 0, "maximum": levels}
    grading.answer(lambda sent: re.sub(r": \d", f": {levels + 1}", grade(sent)))
    found = make(grading, levels=levels).importances(episodes[1:2], ["goal"])
    assert found[0]["agent_0"]["goal"] == [None, None]


def test_an_agent_without_turns_is_not_asked_about(grading, make_episode):
    assert make(grading).importances([make_episode("a")], ["goal"]) == [
        {"agent_0": {"goal": [float(true_importance("goal", "a"))]}, "agent_1": {"goal": []}}
    ]
    assert len(grading.requests) == 1


def test_by_name_in_attributions_wrappers_and_relabel(grading, episodes, tmp_path):
    name = f"llm:m@{grading.url}"

    def judge(episode, agent):
        return {"goal": 6.0, "relationship": 0.0}

    reward = R.Attribution("direct", name, dimensions={"goal": 1, "relationship": 1}, judge=judge)
    assert reward.name == "direct:goal,relationship@llm:m"
    assert reward.levels == 3
    (labelled,) = R.relabel(episodes[:1], reward)
    goal, relationship = expected(episodes[0])["agent_0"].values()
    paid = [a / 3 * 0.6 / 2 + b / 3 * 0.5 / 2 for a, b in zip(goal, relationship, strict=True)]
    assert labelled.rewards[reward.name]["agent_0"] == pytest.approx(paid)
    cached = {"attributor": name, "cache": str(tmp_path / "c"), "levels": 5}
    env = R.AttributionReward(sotopia_env.parallel_env("bargain", reward=None, max_cycles=2), attributor=cached)
    env.reset(seed=0)
    env.step({"agent_0": "Hello."})
    infos = env.step({"agent_1": "Hi."})[4]
    episode = env.episode
    (stored,) = R.relabel([episode], env.reward)
    assert stored.rewards[env.reward.name]["agent_0"] == infos["agent_0"]["utterance_rewards"]
    assert R.Dial(cached, reliability=1.0).levels == 5


def test_a_spec_makes_an_equal_attributor_and_reward(grading, tmp_path):
    tone = R.Dimension("tone", 0, 5, "How warm was the agent?")
    attributor = make(grading, levels=5, rubric=[tone], cache=tmp_path / "c", max_tokens=99, per_dimension=True)
    reward = R.Attribution("direct", attributor, dimensions={"goal": 1, "tone": 1}, judge="rule", scale="native")
    again = R.get_reward(json.loads(json.dumps(reward.spec())))
    assert again.spec() == reward.spec()
    assert again.attributor.version == attributor.version
    for twin in (copy.deepcopy(attributor), pickle.loads(pickle.dumps(attributor))):  # noqa: S301
        assert twin.version == attributor.version


def test_the_version_follows_from_prompt_model_scale_and_rubric(chat_server):
    def version(model="m", **options):
        return LLMAttributor(f"{model}@{chat_server.url}", **options).version

    tone = R.Dimension("tone", 0, 5, "How warm?")
    versions = [version(), version("n"), version(levels=5), version(per_dimension=True), version(rubric=[tone])]
    assert len({*versions, version(temperature=1.0)}) == len(versions) + 1
    assert LLMAttributor("m@http://127.0.0.1:9/v1").version == versions[0]


def test_a_reply_that_cannot_be_used_is_asked_for_once_more(grading, episodes):
    grading.will(body=grading.completion("All of them were great."))
    attributor = make(grading, concurrency=1)
    assert attributor.importances(episodes[:1], BOTH) == [expected(episodes[0])]
    again = grading.requests[1]["messages"]
    assert again[2]["content"] == "All of them were great."
    assert "goal: no whole JSON object" in again[3]["content"]
    assert attributor.failures == []


def test_grades_that_are_missing_twice_are_unknown_and_the_others_stay(grading, episodes):
    def partial(sent):
        said = json.loads(grade(sent))
        said["goal"].pop("Utterance 1 by agent_0", None)
        said.pop("relationship", None)
        return json.dumps(said)

    grading.answer(partial)
    attributor = make(grading)
    (found,) = attributor.importances(episodes[:1], BOTH)
    full = expected(episodes[0])
    assert found["agent_0"] == {"goal": [full["agent_0"]["goal"][0], None], "relationship": [None, None]}
    assert found["agent_1"] == {"goal": full["agent_1"]["goal"], "relationship": [None]}
    assert [(f.agent, f.dimension, f.kind) for f in attributor.failures] == [
        ("agent_0", "goal", "missing"),
        ("agent_0", "relationship", "unreadable"),
        ("agent_1", "relationship", "unreadable"),
    ]
    reward = R.Attribution("direct", attributor, judge=lambda episode, agent: {"goal": 10.0})
    assert reward(episodes[:1])[0]["agent_0"][1] is None


def make_faulty(server, share, patience=PATIENCE):
    return server.fail_in(
        share,
        grade,
        wrong_schema='{"goal": 0, "relationship": 0}',
        out_of_range=lambda said: re.sub(r": \d", ": 70", said),
        patience=patience,
    )


def check_graded_or_failed(attributor, episodes, found):
    """Every importance is the true one, or None and typed; no zero, no other number."""
    unknown = Counter()
    for episode, by_agent in zip(episodes, found, strict=True):
        for agent, by_dimension in expected(episode).items():
            for dimension, values in by_dimension.items():
                graded = by_agent[agent][dimension]
                assert len(graded) == len(values)
                assert all(value in (None, true) for value, true in zip(graded, values, strict=True))
                unknown[episode.key, agent, dimension] += None in graded
    failed = {(f.episode, f.agent, f.dimension) for f in attributor.failures}
    assert failed == {key for key, count in unknown.items() if count}
    assert {f.kind for f in attributor.failures} <= {*KINDS, "unreadable", "missing"}
    return len(failed)


def test_under_fire_every_importance_is_true_or_typed_as_failed(chat_server, episodes, tmp_path):
    make_faulty(chat_server, 0.3)
    options = {"timeout": PATIENCE, "cache": tmp_path / "c", "concurrency": 24}
    attributor = make(chat_server, **options, ledger=tmp_path / "calls.jsonl")
    found = attributor.importances(episodes, BOTH)
    check_graded_or_failed(attributor, episodes, found)
    calls = (tmp_path / "calls.jsonl").read_text().splitlines()
    assert attributor.usage.calls == len(calls) == chat_server.arrived(len(calls)) > 60
    assert len(attributor.usage.outcomes) >= 6
    # A second run is answered by the cache, unless no reply came at all.
    unanswered = {failure.episode for failure in attributor.failures if failure.kind in KINDS}
    answered = [i for i, episode in enumerate(episodes) if episode.key not in unanswered]
    again = make(chat_server, **options, cached_only=True)
    assert len(answered) > 20
    assert again.importances([episodes[i] for i in answered], BOTH) == [found[i] for i in answered]
    assert len(chat_server.requests) == len(calls)


def test_calls_that_fail_for_good_are_typed(chat_server, episodes):
    make_faulty(chat_server, 0.9, patience=None)
    attributor = make(chat_server, timeout=600.0, retries=1, concurrency=24)
    assert check_graded_or_failed(attributor, episodes, attributor.importances(episodes, BOTH)) > 30
    assert attributor.usage.calls == chat_server.arrived(attributor.usage.calls)
    assert len({failure.kind for failure in attributor.failures}) >= 4


def test_estimate_budget_and_cache(grading, episodes, tmp_path):
    options = {"cache": tmp_path / "c", "max_tokens": 100}
    estimate = make(grading, **options).estimate(episodes[:5], BOTH)
    assert (estimate.questions, estimate.calls, estimate.longest_completion_tokens) == (10, 10, 1000)
    limited = make(grading, **options, max_calls=4)
    (first, *others) = limited.importances(episodes[:5], BOTH)
    assert len(grading.requests) == 4
    assert first == expected(episodes[0])
    assert others[-1]["agent_0"]["goal"] == [None, None]
    assert {failure.kind for failure in limited.failures} == {"budget"}
    assert make(grading, **options).estimate(episodes[:5], BOTH).cached == 4
    assert make(grading, **options).importances(episodes[:5], BOTH) == [expected(e) for e in episodes[:5]]
    assert len(grading.requests) == 10
    alone = make(grading, cache=tmp_path / "other", cached_only=True)
    assert alone.importances(episodes[:1], BOTH)[0]["agent_1"] == {"goal": [None], "relationship": [None]}
    assert {failure.kind for failure in alone.failures} == {"uncached"}
    assert len(grading.requests) == 10


def test_no_key_gets_anywhere(chat_server, episodes, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    caplog.set_level("DEBUG")
    chat_server.will(status=500, body={"error": {"message": f"bad key {CANARY}"}})
    chat_server.will(body=chat_server.completion(f"Your key is {CANARY}."))
    chat_server.answer(grade)
    attributor = make(chat_server, cache=tmp_path / "c", ledger=tmp_path / "calls.jsonl")
    attributor.importances(episodes[:1], BOTH)
    assert f"Bearer {CANARY}" in chat_server.authorizations
    chat_server.always(status=401, body={"error": {"message": CANARY}})
    with pytest.raises(EndpointError) as caught:
        attributor.importances(episodes[1:2], BOTH)
    shown = ["".join(traceback.format_exception(caught.value)), repr(caught.value), repr(attributor), caplog.text]
    shown += [str(attributor.failures), str(attributor.spec()), str(vars(attributor)), str(vars(attributor.calls))]
    assert not any(CANARY in text for text in shown)
    assert CANARY.encode() not in pickle.dumps(attributor)
    assert CANARY.encode() not in pickle.dumps(caught.value)
    for file in tmp_path.iterdir():
        assert CANARY.encode() not in file.read_bytes()


def test_what_makes_no_sense_is_refused(chat_server, make_episode):
    for options, message in (
        ({"levels": 4}, "3, 5 or 10, not to 4"),
        ({"rubric": ["charm"]}, "unknown dimension"),
        ({"cached_only": True}, "there is no cache"),
    ):
        with pytest.raises(ValueError, match=message):
            make(chat_server, **options)
    with pytest.raises(ValueError, match="give rubric="):
        make(chat_server).importances([make_episode("a")], ["charm"])
    with pytest.raises(ValueError, match="wants a key"):
        as_attributor("llm:m")
    with pytest.raises(ValueError, match="grades 0..3, not 0..5"):
        as_attributor(make(chat_server), levels=5)
