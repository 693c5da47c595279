import json
from dataclasses import replace

import pytest

import sotopia_env
from sotopia_env.rewards import FormatPenalty, MonteCarlo, Outcome, relabel
from sotopia_env.storage.episodes import load_episodes


def test_labels_stand_beside_older_ones(make_episode, judge):
    episodes = relabel([make_episode("a", "a", "a")], Outcome("uniform", judge=judge))
    episodes = relabel(episodes, Outcome("discounted", judge=judge, gamma=0.5))
    assert episodes[0].rewards == {
        "uniform": {"agent_0": [0.5, 0.5], "agent_1": [0.0]},
        "discounted": {"agent_0": [0.5, 1.0], "agent_1": [0.0]},
    }
    assert [j.judge for j in episodes[0].judgements] == ["rule"]


def test_a_sum_labels_the_whole_and_each_part(make_episode, judge):
    (episode,) = relabel([make_episode(None, "a", "a")], Outcome(judge=judge) + 0.5 * FormatPenalty(weight=1.0))
    assert episode.rewards["format"] == {"agent_0": [-1.0, 0.0], "agent_1": [0.0]}
    assert episode.rewards["episode + 0.5 * format"] == {"agent_0": [-0.5, 0.0], "agent_1": [1.0]}


def test_the_episodes_given_stay_as_they_are(make_episode, judge):
    episode = make_episode("a", "b")
    relabel([episode], Outcome(judge=judge))
    assert episode.rewards == {}
    assert episode.judgements == ()


def test_each_episode_is_judged_once_whatever_the_number_of_parts(make_episode, judge):
    reward = Outcome(judge=judge) + Outcome("uniform", judge=judge) + Outcome("broadcast", judge=judge)
    relabel([make_episode("a"), make_episode("b")], reward)
    assert judge.family.judged == 2


def test_nothing_to_label():
    assert relabel([], "episode") == []
    assert relabel([], MonteCarlo(lambda o, rng: "a")) == []


@pytest.mark.parametrize("design", ["episode", "uniform", "broadcast", "discounted"])
def test_rollouts_of_a_shipped_family_equal_their_labels(design):
    episodes = sotopia_env.rollout("bargain", ["scripted:warm", "scripted:firm"], num_episodes=6, seed=0, reward=design)
    stored = [episode.rewards[design] for episode in episodes]
    assert [episode.rewards[design] for episode in relabel(episodes, design)] == stored
    assert any(value for rewards in stored for values in rewards.values() for value in values)


def test_stopped_with_a_file_it_goes_on_to_the_same_bytes(make_episode, judge, tmp_path, monkeypatch):
    episodes = [replace(make_episode("a", "b", "a"), key=f"e{i}") for i in range(7)]
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    paid = relabel(episodes, Outcome("uniform", judge=judge), out=whole, batch_size=2)
    assert paid == relabel(episodes, Outcome("uniform", judge=judge)) == load_episodes(whole)
    reward = Outcome("uniform", judge=judge)
    judging = judge.judge

    def stops(asked):
        if any(episode.key == "e5" for episode in asked):
            raise KeyboardInterrupt
        return judging(asked)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(type(judge), "judge", lambda self, asked: stops(asked))
        relabel(episodes, reward, out=cut, batch_size=2)
    assert [episode.key for episode in load_episodes(cut)] == ["e0", "e1", "e2", "e3"]
    started = []
    assert relabel(episodes, reward, out=cut, batch_size=2, on_start=started.extend) == paid
    assert [episode.key for episode in started] == ["e4", "e5", "e6"]
    assert cut.read_bytes() == whole.read_bytes()
    outcomes = [s["outcome"] for s in json.loads((tmp_path / "cut.manifest.json").read_text())["sessions"]]
    assert outcomes == ["interrupted", "complete"]


def test_a_file_that_a_call_with_another_reward_has_taken_over_is_refused(make_episode, tmp_path):
    out = tmp_path / "e.jsonl"
    episodes = [replace(make_episode(), key=f"e-{i}") for i in range(3)]

    def meanwhile(_):
        relabel(episodes, FormatPenalty(), out=out)

    with pytest.raises(ValueError, match=r"e\.jsonl was paid with other reward"):
        relabel(episodes, Outcome("uniform", judge=lambda episode, agent: {"goal": 1.0}), out=out, on_start=meanwhile)
    assert [list(episode.rewards) for episode in load_episodes(out)] == [["format"]] * 3
    manifest = json.loads((tmp_path / "e.manifest.json").read_text())
    assert [session["outcome"] for session in manifest["sessions"]] == ["complete"]
