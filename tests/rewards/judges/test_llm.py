import copy
import json
import pickle
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import pytest

import sotopia_env
from sotopia_env import rewards as R
from sotopia_env.agents.endpoint.client import KINDS, EndpointError
from sotopia_env.rewards.judges.base import as_judge
from sotopia_env.rewards.judges.replies import REPLY_KINDS
from sotopia_env.testing import check_judge

CANARY = "sk-canary-0123456789abcdef"
PATIENCE = 1.0


def make(server, **options):
    return R.LLMJudge(f"m@{server.url}", **{"retries": 3, "first_wait": 0.0, "timeout": 10.0, **options})


def turns_of(sent):
    """The turns that stand in a question, read as a program would."""
    lines = sent["messages"][1]["content"].split("\n")
    return [json.loads(line) for line in lines if line.startswith('{"turn"')]


def true_scores(texts):
    """What the server's judge thinks: never 0, and other for every text of the first turn."""
    first = 1 + sum(map(ord, texts[0])) % 8
    return {"goal": [float(first), 9.0], "relationship": [-float(first) / 2, 1.5]}


def grade(sent):
    scores = true_scores([turn["text"] for turn in turns_of(sent)])
    return json.dumps(
        {
            f"agent_{seat}": {
                name: {"reason": f"Turn {seat}.", "score": values[seat]} for name, values in scores.items()
            }
            for seat in (1, 0)
        }
    )


@pytest.fixture
def grading(chat_server):
    chat_server.answer(grade)
    return chat_server


@pytest.fixture
def episodes(make_episode):
    return [replace(make_episode(f"word {i}", "b"), key=str(i)) for i in range(60)]


def expected(episode):
    return true_scores([turn.text for turn in episode.turns])


def test_scores_and_reasons_stand_with_their_agents(grading, episodes):
    judge = make(grading, dimensions=["goal", "relationship"])
    judgements = judge.judge(episodes[:5])
    assert [judgement.scores for judgement in judgements] == [expected(episode) for episode in episodes[:5]]
    assert judgements[0].evidence["goal"] == [["Turn 0."], ["Turn 1."]]
    assert {(judgement.judge, judgement.version) for judgement in judgements} == {("llm:m", judge.version)}
    assert len(grading.requests) == judge.usage.calls == 5
    sent = grading.requests[0]
    assert (sent["temperature"], sent["max_tokens"]) == (0.0, 2048)
    assert "response_format" not in sent
    assert judge.judge([]) == []


def test_a_judge_is_made_from_a_name_wherever_one_is_taken(grading, episodes):
    name = f"llm:m@{grading.url}"
    assert repr(as_judge(name)) == f"LLMJudge('m', '{grading.url}')"
    reward = R.Outcome("uniform", dimensions={"goal": 1}, judge={"judge": name, "dimensions": ["goal"]})
    assert reward(episodes[:1])[0]["agent_0"] == [expected(episodes[0])["goal"][0] / 10]
    env = sotopia_env.parallel_env("bargain", reward=R.Outcome("episode", judge=name), max_cycles=2)
    env.reset(seed=0)
    env.step({"agent_0": "Hello."})
    rewards = env.step({"agent_1": "Hi."})[1]
    scores = true_scores([env.episode.turns[0].text])["goal"]
    assert [rewards["agent_0"], rewards["agent_1"]] == [score / 10 for score in scores]
    with pytest.raises(ValueError, match="takes no options"):
        as_judge({"judge": "rule"})
    assert "llm:MODEL@URL" in sotopia_env.resolve.list_names()["judges"]()


def test_a_spec_makes_an_equal_judge_and_reward(grading, tmp_path):
    tone = R.Dimension("tone", 0, 5, "How warm was the agent?")
    judge = make(grading, dimensions=["goal", tone], cache=tmp_path / "c", max_tokens=99, max_calls=3)
    reward = R.Outcome("uniform", dimensions={"goal": 1}, judge=judge)
    again = R.get_reward(json.loads(json.dumps(reward.spec())))
    assert again.spec() == reward.spec()
    assert again.judge.version == judge.version
    assert (again.judge.calls.endpoint.retries, again.judge.calls.max_calls) == (3, 3)


def test_the_version_follows_from_rubric_model_and_sampling_but_not_from_the_address(chat_server):
    def version(model="m", **options):
        return R.LLMJudge(f"{model}@{chat_server.url}", **options).version

    versions = [
        version(),
        version("n"),
        version(dimensions=["goal"]),
        version(dimensions=[R.Dimension("tone", 0, 5, "How warm?")]),
        version(dimensions=[R.Dimension("tone", 0, 5, "How cold?")]),
        version(temperature=1.0),
        version(max_tokens=5),
        version(enforce_schema=True),
    ]
    assert len(set(versions)) == len(versions)
    assert R.LLMJudge("m@http://127.0.0.1:9/v1").version == versions[0]


def test_the_schema_goes_out_where_it_is_wanted(grading, episodes):
    make(grading, dimensions=["goal"], enforce_schema=True).judge(episodes[:1])
    schema = grading.requests[0]["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["agent_1"]["required"] == ["goal"]


def test_a_reply_that_cannot_be_used_is_asked_for_once_more(grading, episodes):
    judge = make(grading, dimensions=["goal", "relationship"])
    grading.will(body=grading.completion("I like them both, 10 of 10."))
    assert judge.judge(episodes[:1])[0].scores == expected(episodes[0])
    again = grading.requests[1]["messages"]
    assert again[2] == {"role": "assistant", "content": "I like them both, 10 of 10."}
    assert "no complete JSON object" in again[3]["content"]
    grading.always(body=grading.completion("I like them both, 10 of 10."))
    (judgement,) = judge.judge(episodes[:1])
    assert judgement.scores == {"goal": [None, None], "relationship": [None, None]}
    assert judgement.evidence["goal"][1][0].startswith("failed (unreadable): no complete JSON object")
    assert len(grading.requests) == 4
    assert [(f.episode, f.agent, f.dimension, f.kind) for f in judge.failures[:2]] == [
        ("0", "agent_0", "goal", "unreadable"),
        ("0", "agent_1", "goal", "unreadable"),
    ]


def test_good_scores_survive_a_bad_neighbour(grading, episodes):
    bad = json.loads(grade_of(episodes[0]))
    bad["agent_0"]["goal"]["score"] = 11
    grading.always(body=grading.completion(json.dumps(bad)))
    (judgement,) = make(grading, dimensions=["goal", "relationship"]).judge(episodes[:1])
    assert judgement.scores == {**expected(episodes[0]), "goal": [None, 9.0]}
    assert judgement.evidence["goal"][0] == [
        "failed (out_of_range): the score for goal of agent_0 is 11, and the range is 0 to 10"
    ]


def grade_of(episode):
    lines = "\n".join(json.dumps({"turn": turn.global_index, "text": turn.text}) for turn in episode.turns)
    return grade({"messages": [{}, {"content": lines}]})


def make_faulty(server, share, delay=0.0, patience=PATIENCE):
    """Have a server fail in every way in so many of its calls; the list of seconds that each call imposes."""
    return server.fail_in(
        share,
        grade,
        wrong_schema='{"agent_0": 0, "agent_1": 0}',
        out_of_range=lambda said: re.sub(r'"score": [-\d.]+', '"score": 70', said),
        patience=patience,
        delay=delay,
    )


def check_scored_or_failed(judge, episodes, judgements):
    """Every score is the true one, or None and typed; no zero, no other number."""
    kinds = {**KINDS, **dict.fromkeys(REPLY_KINDS)}
    failed = 0
    for episode, judgement in zip(episodes, judgements, strict=True):
        for name, values in judgement.scores.items():
            for seat, value in enumerate(values):
                if value is None:
                    (finding,) = judgement.evidence[name][seat]
                    assert re.match(r"failed \((\w+)\): ", finding)[1] in kinds
                    failed += 1
                else:
                    assert value == expected(episode)[name][seat]
    assert len(judge.failures) == failed
    return failed


def test_under_fire_every_score_is_true_or_typed_as_failed(chat_server, episodes, tmp_path):
    make_faulty(chat_server, 0.3)
    options = {"dimensions": ["goal", "relationship"], "timeout": PATIENCE, "cache": tmp_path / "c", "concurrency": 32}
    judge = make(chat_server, **options, ledger=tmp_path / "calls.jsonl")
    judgements = judge.judge(episodes)
    check_scored_or_failed(judge, episodes, judgements)
    calls = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    assert judge.usage.calls == len(calls) == chat_server.arrived(len(calls)) > 60
    assert Counter(call["outcome"] for call in calls) == judge.usage.outcomes
    assert len(judge.usage.outcomes) >= 6
    assert chat_server.most_in_flight <= 32
    # Whoever comes back, and be it without any patience, is answered by the cache.
    before = len(chat_server.requests)
    unanswered = {failure.episode for failure in judge.failures if failure.kind in KINDS}
    again = make(chat_server, **options, cached_only=True)
    answered = [i for i, episode in enumerate(episodes) if episode.key not in unanswered]
    assert len(answered) > 50
    repeated = again.judge([episodes[i] for i in answered])
    assert [judgement.scores for judgement in repeated] == [judgements[i].scores for i in answered]
    assert len(chat_server.requests) == before


def test_a_correction_is_asked_while_other_questions_wait(grading, episodes):
    judge = make(grading, dimensions=["goal", "relationship"], concurrency=1)
    grading.will(body=grading.completion("I like them both, 10 of 10."))
    judgements = judge.judge(episodes[:3])
    assert [len(sent["messages"]) for sent in grading.requests] == [2, 4, 2, 2]
    assert [judgement.scores for judgement in judgements] == [expected(episode) for episode in episodes[:3]]
    # Within a budget first replies come first, and the correction gets what is left.
    grading.requests.clear()
    grading.will(body=grading.completion("I like them both, 10 of 10."))
    thrifty = make(grading, dimensions=["goal", "relationship"], concurrency=1, max_calls=3)
    scores = [judgement.scores for judgement in thrifty.judge(episodes[:3])]
    assert [len(sent["messages"]) for sent in grading.requests] == [2, 2, 2]
    assert scores == [{"goal": [None, None], "relationship": [None, None]}, *map(expected, episodes[1:3])]


@pytest.mark.slow
@pytest.mark.parametrize("number", [256, 512])
def test_under_fire_it_takes_little_longer_than_the_server(number, chat_server, make_episode, tmp_path):
    episodes = [replace(make_episode(f"word {i}", "b"), key=str(i)) for i in range(number)]
    imposed = make_faulty(chat_server, 0.3, delay=1.0, patience=2.0)
    judge = make(chat_server, dimensions=["goal", "relationship"], timeout=2.0, concurrency=32, cache=tmp_path / "c")
    started, used = time.monotonic(), time.process_time()
    failed = check_scored_or_failed(judge, episodes, judge.judge(episodes))
    ratio, used = (time.monotonic() - started) / (sum(imposed) / 32), time.process_time() - used
    print(f"{judge.usage.calls} calls, {failed} scores failed, {used:.1f} s of processor time for server and judge")
    print(f"{ratio:.2f} times the server's own schedule over 32")
    assert judge.usage.calls == chat_server.arrived(judge.usage.calls)
    # The figure is what the line above prints; a busy machine may not fail the test, twice the schedule would.
    assert ratio < 2


def test_calls_that_fail_for_good_are_typed_and_nothing_else_suffers(chat_server, episodes):
    make_faulty(chat_server, 0.9, patience=None)
    judge = make(chat_server, dimensions=["goal", "relationship"], timeout=600.0, retries=1, concurrency=60)
    failed = check_scored_or_failed(judge, episodes, judge.judge(episodes))
    assert failed > 60
    assert judge.usage.calls == chat_server.arrived(judge.usage.calls)
    assert len({failure.kind for failure in judge.failures}) >= 4


def test_a_second_run_and_equal_episodes_make_no_call(grading, episodes, tmp_path):
    options = {"dimensions": ["goal", "relationship"], "cache": tmp_path / "c"}
    judge = make(grading, **options)
    assert judge.estimate([*episodes, *episodes]).calls == 60
    first = judge.judge([*episodes, *episodes])
    assert len(grading.requests) == 60
    again = make(grading, **options)
    assert again.estimate(episodes).calls == 0
    assert again.judge(episodes) == first[:60]
    assert len(grading.requests) == 60
    make(grading, **{**options, "dimensions": ["goal"]}).judge(episodes[:1])
    assert len(grading.requests) == 61


def test_an_estimate_says_what_it_would_take(grading, episodes):
    estimate = make(grading, max_tokens=100).estimate(episodes[:10])
    assert (estimate.questions, estimate.cached, estimate.calls) == (10, 0, 10)
    assert estimate.longest_completion_tokens == 1000
    assert estimate.highest_cost is None
    assert 5_000 < estimate.prompt_tokens < 20_000
    assert make(grading, max_tokens=None).estimate(episodes).longest_completion_tokens is None
    assert grading.requests == []


def test_a_budget_stops_it_and_the_next_run_goes_on(grading, episodes, tmp_path):
    options = {"dimensions": ["goal", "relationship"], "cache": tmp_path / "c"}
    judge = make(grading, **options, max_calls=7)
    judgements = judge.judge(episodes[:10])
    assert len(grading.requests) == 7
    assert [judgement.scores["goal"][0] is None for judgement in judgements] == [False] * 7 + [True] * 3
    assert {failure.kind for failure in judge.failures} == {"budget"}
    assert make(grading, **options).judge(episodes[:10])[9].scores == expected(episodes[9])
    assert len(grading.requests) == 10


def test_without_its_cache_a_cached_judge_fails_as_uncached(grading, episodes, tmp_path):
    judge = make(grading, cached_only=True, cache=tmp_path / "c")
    assert judge.judge(episodes[:1])[0].scores["goal"] == [None, None]
    assert {failure.kind for failure in judge.failures} == {"uncached"}
    assert grading.requests == []


JUDGE = """
import sys
from pathlib import Path
from sotopia_env import load_episodes
from sotopia_env import rewards as R
judge = R.LLMJudge(sys.argv[1], dimensions=["goal", "relationship"], cache=sys.argv[2], concurrency=4)
print(sum(None in values for j in judge.judge(load_episodes(sys.argv[3])) for values in j.scores.values()))
"""


def test_killed_in_the_middle_it_goes_on(grading, episodes, tmp_path):
    sotopia_env.save_episodes(episodes, tmp_path / "e.jsonl")
    command = [sys.executable, "-c", JUDGE, f"m@{grading.url}", str(tmp_path / "c"), str(tmp_path / "e.jsonl")]
    grading.otherwise = lambda sent: grading.response(grading.completion(grade(sent)), delay=0.05)
    killed = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    while len(grading.requests) < 20:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    time.sleep(0.1)
    sent = len(grading.requests)
    # Two at once go on from there: what was kept is not asked again. 4 were in flight, and a few about to be written.
    grading.answer(grade)
    judge = make(grading, dimensions=["goal", "relationship"], cache=tmp_path / "c")
    assert 60 - sent <= judge.estimate(episodes).calls <= 60 - sent + 12
    other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    judgements = judge.judge(episodes)
    assert other.communicate(timeout=60)[0].strip() == "0"
    assert [judgement.scores for judgement in judgements] == [expected(episode) for episode in episodes]
    assert len(grading.requests) <= sent + 2 * (60 - sent + 12)


@pytest.mark.parametrize("status", [401, 404, 402])
def test_what_every_call_would_meet_is_raised(chat_server, episodes, status):
    chat_server.always(status=status, body={"error": {"message": "no"}})
    with pytest.raises(EndpointError, match=r"scores of episode 0 by llm:m: .* after 1 call of m at http"):
        make(chat_server).judge(episodes[:1])


def test_no_key_gets_anywhere(chat_server, episodes, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    caplog.set_level("DEBUG")
    chat_server.will(status=500, body={"error": {"message": f"bad key {CANARY}"}})
    chat_server.will(body=chat_server.completion(f"Your key is {CANARY}."))
    chat_server.answer(lambda sent: grade(sent).replace("Turn 1.", f"Key {CANARY}."))
    judge = make(chat_server, cache=tmp_path / "c", ledger=tmp_path / "calls.jsonl")
    (judgement,) = judge.judge(episodes[:1])
    assert f"Bearer {CANARY}" in chat_server.authorizations
    chat_server.always(status=401, body={"error": {"message": CANARY}})
    with pytest.raises(EndpointError) as caught:
        judge.judge(episodes[1:2])
    shown = [str(caught.value), repr(judge), str(judge.failures), str(judge.spec()), str(judgement), caplog.text]
    shown += [str(judge.usage), str(vars(judge)), str(chat_server.requests)]
    assert not any(CANARY in text for text in shown)
    assert CANARY.encode() not in pickle.dumps(judge)
    for file in tmp_path.iterdir():
        assert CANARY.encode() not in file.read_bytes()
    assert "[key]" in judgement.evidence["goal"][1][0]


def test_it_keeps_the_rules_of_judges(chat_server):
    def answer(sent):
        scores = {name: {"reason": "", "score": dimension.low} for name, dimension in R.RUBRIC.items()}
        return json.dumps({"agent_0": scores, "agent_1": scores})

    chat_server.answer(answer)
    check_judge(make(chat_server), episodes=2)


def test_copies_and_pickles_judge_on(grading, episodes):
    judge = make(grading, dimensions=["goal", "relationship"])
    for twin in (copy.deepcopy(judge), pickle.loads(pickle.dumps(judge))):  # noqa: S301
        assert twin.judge(episodes[:1])[0].scores == expected(episodes[0])


def test_what_makes_no_sense_is_refused(chat_server):
    for options, message in (
        ({"base_url": "http://127.0.0.1:1/v1"}, "the address is given twice"),
        ({"cached_only": True}, "there is no cache"),
        ({"max_calls": -1}, "max_calls is -1"),
        ({"dimensions": ["charm"]}, "unknown dimension"),
    ):
        with pytest.raises(ValueError, match=message):
            make(chat_server, **options)
    with pytest.raises(ValueError, match="wants a key"):
        R.LLMJudge("m")


@pytest.mark.slow
def test_a_real_server_is_judged_by_and_attributed_by(serve_smollm2, tmp_path):
    episodes = sotopia_env.rollout("bargain", "scripted:mixed", num_episodes=2, seed=0, max_cycles=2)
    options = {"max_tokens": 32, "timeout": 600, "retries": 1, "concurrency": 1, "cache": tmp_path / "c"}
    asked = ["goal"]
    with serve_smollm2() as (model, url):
        judge = R.LLMJudge(f"{model}@{url}", name="llm:smollm2", dimensions=asked, **options)
        judgements = judge.judge(episodes)
        attributor = R.LLMAttributor(f"{model}@{url}", name="llm:smollm2", **options)
        (found,) = attributor.importances(episodes[:1], ["goal"])
    print(judge.usage, Counter(failure.kind for failure in judge.failures))
    print(attributor.usage, Counter(failure.kind for failure in attributor.failures))
    failed = 0
    for judgement in judgements:
        for name in asked:
            for value, evidence in zip(judgement.scores[name], judgement.evidence[name], strict=True):
                if value is None:
                    assert re.match(r"failed \((\w+)\): ", evidence[0])[1] in {*KINDS, *REPLY_KINDS}
                    failed += 1
                else:
                    assert R.RUBRIC[name].low <= value <= R.RUBRIC[name].high
    assert failed == len(judge.failures)
    # Each episode is asked about once, and once more where the reply could not be used.
    assert 2 + len({failure.episode for failure in judge.failures}) <= judge.usage.calls <= 4
    assert judge.usage.outcomes == {"answered": judge.usage.calls}
    assert judge.usage.unmetered == 0
    assert judge.usage.prompt_tokens > 2 * 400
    assert 2 <= attributor.usage.calls <= 4
    for agent, by_dimension in found.items():
        values = by_dimension["goal"]
        assert len(values) == len(episodes[0].own_turns(agent))
        assert (None in values) == any(failure.agent == agent for failure in attributor.failures)
