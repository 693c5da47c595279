import copy
import dataclasses
import inspect
import json
import pickle

import gymnasium
import pytest

import sotopia_env
from sotopia_env import rewards as R
from sotopia_env.wrappers.partners import WithPartners
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
def test_partners_lie_over_what_pays_the_cycles_of_a_step(source):
    def with_partner(env):
        return WithPartners(env, {"agent_1": "scripted:firm"})

    def played(env):
        env.reset(seed=0)
        paid = []
        while env.agents:
            _, rewards, _, _, infos = env.step({"agent_0": sotopia_env.speak("What a fine day.").to_space()})
            paid.append(rewards)
        return paid, infos["agent_0"]["utterance_rewards"]

    parallel = lambda: sotopia_env.parallel_env("bargain", max_cycles=6)  # noqa: E731
    around = SOURCES[source](with_partner(parallel()))
    assert isinstance(around, WithPartners)
    assert played(around) == played(with_partner(SOURCES[source](parallel())))
    with pytest.raises(TypeError, match=r"WithPartners\(RewardWrapper\(env, reward\), partners\)"):
        R.RewardWrapper(with_partner(parallel()), "episode")


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


def names_of(reward):
    return [field.name for field in dataclasses.fields(reward)]


DERIVED = {
    R.EpisodeReward: (R.Outcome, ["dimensions", "judge", "scale", "name"]),
    R.AttributionReward: (R.Attribution, names_of(R.Attribution)),
    R.ProgressReward: (R.Progress, names_of(R.Progress)),
    R.JudgeReward: (R.JudgeScores, names_of(R.JudgeScores)),
    R.RewardModelReward: (R.RewardModel, names_of(R.RewardModel)),
}


@pytest.mark.parametrize("wrapper", DERIVED)
def test_a_wrapper_takes_and_documents_the_arguments_of_its_reward(wrapper):
    reward, names = DERIVED[wrapper]
    parameters, own = inspect.signature(wrapper).parameters, inspect.signature(reward).parameters
    assert list(parameters) == ["env", *names, "on_failure"]
    assert parameters["on_failure"].default == "nan"
    for name in names:
        assert parameters[name].kind == own[name].kind
        made = name == "dimensions" and wrapper is not R.RewardModelReward
        assert parameters[name].default == ({"goal": 1.0} if made else own[name].default)
    said = inspect.getdoc(wrapper)
    first, of_reward = said.partition("\n")[0], inspect.getdoc(reward)
    assert f"{reward.__name__}(" in first and len(first) <= 120
    for name in names:
        (line,) = [line for line in said.splitlines() if line.startswith(f"    {name}: ")]
        assert line in of_reward.splitlines()
    assert (
        said.count("Args:") == said.count("    env: ") == said.count("    on_failure: ") == said.count("Example:") == 1
    )
    assert (wrapper.__module__, wrapper.__init__.__qualname__) == (
        "sotopia_env.rewards.wrappers.sources",
        f"{wrapper.__name__}.__init__",
    )


@pytest.mark.parametrize("source", ["episode", "attribution"])
def test_a_wrapper_is_made_again_from_what_it_wrote(source):
    env = {
        "episode": lambda bare: R.EpisodeReward(bare, dimensions={"goal": 2, "knowledge": 1}, name="mine"),
        "attribution": lambda bare: R.AttributionReward(bare, "singular", paper=True, on_failure="raise"),
    }[source](FACES["parallel"]())
    written = json.loads(json.dumps(env.wrapper_spec()))
    again = R.RewardWrapper(FACES["parallel"](), **written)
    assert (again.reward, again.on_failure) == (env.reward, env.on_failure)


def test_no_dimensions_are_the_goal():
    assert R.EpisodeReward(FACES["parallel"](), dimensions=None).reward == R.Outcome()
    assert R.EpisodeReward(FACES["parallel"]()).reward == R.Outcome("episode")


def test_arguments_that_a_wrapper_does_not_take_are_refused():
    for options in ({"design": "uniform"}, {"kind": "credit"}, {"gamma": 0.5}, {"jugde": "rule"}):
        with pytest.raises(
            TypeError, match=f"EpisodeReward: got an unexpected keyword argument '{next(iter(options))}'"
        ):
            R.EpisodeReward(FACES["parallel"](), **options)
    with pytest.raises(TypeError, match="JudgeReward: missing a required argument: 'judge'"):
        R.JudgeReward(FACES["parallel"]())


def test_a_design_of_another_reward_is_refused_with_its_place():
    with pytest.raises(ValueError, match=r"'uniform' is none of scaled, .*Outcome\('uniform'\), in play RewardWrapper"):
        R.AttributionReward(FACES["parallel"](), design="uniform")
    with pytest.raises(ValueError, match=r"or EpisodeReward\(env\)"):
        R.Attribution("episode")
    with pytest.raises(ValueError, match=r"take Attribution\('scaled'\), in play AttributionReward\(env, 'scaled'\)"):
        R.Outcome("scaled")
    with pytest.raises(ValueError, match="'hope' is none of episode, uniform, broadcast, discounted$"):
        R.Outcome("hope")
