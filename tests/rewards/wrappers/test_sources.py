import copy
import pickle

import gymnasium
import pytest

import sotopia_env
from sotopia_env import rewards as R
from sotopia_env.wrappers.text import TextWrapper


def goal_of_three(episode, agent):
    return {"goal": float(min(len(episode.turns), 10))}


def standing(episode, agent):
    return len(episode.turns) / 10


SOURCES = {
    "episode": lambda env: R.EpisodeReward(env, judge=goal_of_three),
    "attribution": lambda env: R.AttributionReward(env, "scaled", judge=goal_of_three),
    "progress": lambda env: R.ProgressReward(env, potential=standing, judge=goal_of_three),
    "judge": lambda env: R.JudgeReward(env, goal_of_three, every=2),
}
FACES = {
    "parallel": lambda: sotopia_env.parallel_env("bargain", max_cycles=4),
    "text": lambda: TextWrapper(sotopia_env.parallel_env("bargain", max_cycles=4)),
    "aec": lambda: sotopia_env.env("bargain", max_cycles=4),
    "single": lambda: gymnasium.make("sotopia_env:sotopia/Bargain-v0", max_cycles=4, disable_env_checker=True),
}


def paid_to_agent_0(face, env):
    """What agent_0 gets in an episode of four turns in which nothing is agreed on."""
    total = 0.0
    if face == "single":
        env.reset(seed=1)
        over = False
        while not over:
            _, reward, terminated, truncated, _ = env.step("Good day.")
            total, over = total + reward, terminated or truncated
        return total
    env.reset(seed=1)
    if face == "aec":
        for agent in env.agent_iter():
            _, reward, terminated, truncated, _ = env.last()
            total += reward if agent == "agent_0" else 0.0
            over = terminated or truncated
            env.step(None if over else sotopia_env.speak("Good day.").to_space())
        return total
    while env.agents:
        said = "Good day." if face == "text" else sotopia_env.speak("Good day.").to_space()
        total += env.step(dict.fromkeys(env.unwrapped.acting, said))[1]["agent_0"]
    return total


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("source", SOURCES)
def test_every_source_pays_through_every_face(face, source):
    env = SOURCES[source](FACES[face]())
    assert type(env) is (
        type(FACES[face]()) if face in ("aec", "single") else type(SOURCES[source](FACES["parallel"]()))
    )
    assert R.reward_of(env if face in ("parallel", "text") else getattr(env.unwrapped, "parallel", env)) is not None
    # G = 0.4; progress starts from 0. All of it is paid, whatever the face.
    assert paid_to_agent_0(face, env) == pytest.approx(0.4)


@pytest.mark.parametrize("source", SOURCES)
def test_what_pays_below_is_taken_out(source):
    asked = []

    def costly(episode, agent):
        asked.append(agent)
        return {"goal": 1.0}

    below = R.EpisodeReward(sotopia_env.parallel_env("bargain", max_cycles=4), judge=costly)
    env = SOURCES[source](TextWrapper(R.LengthPenalty(below)))
    assert paid_to_agent_0("text", env) == pytest.approx(0.4)
    assert asked == []
    # The environment that was wrapped still pays what it paid.
    assert isinstance(below, R.EpisodeReward)
    with pytest.raises(ValueError, match="NormalizeReward has to lie over all rewards"):
        SOURCES[source](R.NormalizeReward(below))


@pytest.mark.parametrize("source", SOURCES)
def test_copies_and_forks_pay_on(source):
    env = SOURCES[source](FACES["parallel"]())
    env.reset(seed=1)
    env.step({env.unwrapped.acting[0]: "Good day."})
    for twin in (copy.deepcopy(env), pickle.loads(pickle.dumps(env)), env.fork()[0]):  # noqa: S301
        while twin.agents:
            infos = twin.step({twin.unwrapped.acting[0]: "Good day."})[4]
        assert sum(infos["agent_0"]["utterance_rewards"]) == pytest.approx(0.4)


def test_penalties_lie_over_sources_in_any_face():
    env = R.LengthPenalty(R.JudgeReward(FACES["aec"](), goal_of_three), target_words=1, weight=0.1)
    # Two turns of two words.
    assert paid_to_agent_0("aec", env) == pytest.approx(0.4 - 0.2)
