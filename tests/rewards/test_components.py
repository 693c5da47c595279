import importlib
import inspect
import json
from collections import Counter
from dataclasses import dataclass, replace

import pytest

from sotopia_env import rewards as R
from sotopia_env.names import PUBLIC_MODULES
from sotopia_env.rewards.attribution.attributors import as_attributor
from sotopia_env.rewards.components import Component
from sotopia_env.rewards.credit.potentials import as_potential
from sotopia_env.rewards.judges.base import as_judge


def never(episode, agent):
    """A function that a spec can name: its module is importable where the tests set it up."""
    return {"goal": 1.0}


def numbers(episodes):
    return [{agent: [0.0] * len(e.own_turns(agent)) for agent in e.agents} for e in episodes]


@pytest.fixture
def named(monkeypatch):
    """Functions by a path that can be imported again."""
    module = type(importlib)("functions_of_a_user")
    for function in (never, numbers):
        monkeypatch.setattr(function, "__module__", module.__name__)
        setattr(module, function.__name__, function)
    monkeypatch.setitem(importlib.sys.modules, module.__name__, module)


MAKERS = {R.Reward: R.get_reward, R.Judge: as_judge, R.Attributor: as_attributor, R.Potential: as_potential}
"""What makes each kind of component again from its spec."""


def components(url):
    """Two of each that the package exports: as it comes, and with other arguments."""
    judge, attributor = f"llm:m@{url}", {"attributor": f"llm:m@{url}", "levels": 5}
    credit = R.MonteCarlo(["scripted:warm"], k=2, seed=3)
    return {
        R.Outcome: [R.Outcome(), R.Outcome("discounted", {"goal": 2, "knowledge": 1}, "strict", gamma=0.5)],
        R.Attribution: [
            R.Attribution(),
            R.Attribution(
                "direct-centred", R.Dial("rule", 0.5, seed=2), baseline={"bargain": {"agent_0": {"goal": 1}}}
            ),
            R.Attribution("scaled", R.MonteCarloAttributor(credit), paper=True, judge=never),
        ],
        R.Progress: [
            R.Progress(),
            R.Progress(R.StandingOffer({"goal": 1.0}), gamma=0.9),
            R.Progress(never, paper=True, judge=R.EnsembleJudge(["rule", never], "median", 1)),
            R.Progress(credit),
        ],
        R.JudgeScores: [R.JudgeScores("rule"), R.JudgeScores(never, 2, {"goal": 1}, "native", "mine")],
        R.MonteCarlo: [credit, R.MonteCarlo(["random", "scripted:firm"], dimensions={"knowledge": 1.0})],
        R.Shapley: [R.Shapley("random"), R.Shapley(["random"], k=1, exact_up_to=2, permutations=1, judge="strict")],
        R.FunctionReward: [R.FunctionReward(numbers), R.FunctionReward(numbers, "mine", "credit", "causal")],
        R.Sum: [R.Outcome() + 0.5 * R.LengthPenalty(), 2 * R.ClipReward(R.Outcome())],
        R.ClipReward: [R.ClipReward(R.Outcome()), R.ClipReward(R.Outcome("uniform") + R.Attribution("scaled"), 0, 0.5)],
        R.LengthPenalty: [R.LengthPenalty(), R.LengthPenalty(target_words=3, weight=1.0, name="short")],
        R.FormatPenalty: [R.FormatPenalty(), R.FormatPenalty(weight=2.0)],
        R.RepetitionPenalty: [R.RepetitionPenalty(), R.RepetitionPenalty(ngram=None)],
        R.SecretPenalty: [R.SecretPenalty(), R.SecretPenalty(weight=0.1)],
        R.RuleJudge: [R.RuleJudge()],
        R.StrictJudge: [R.StrictJudge()],
        R.FunctionJudge: [R.FunctionJudge(never), R.FunctionJudge(never, "mine", "2")],
        R.EnsembleJudge: [
            R.EnsembleJudge(["rule", "strict"]),
            R.EnsembleJudge([R.EnsembleJudge(["rule"]), never], "median", 1, "both"),
        ],
        R.LLMJudge: [R.LLMJudge(judge), R.LLMJudge(judge, dimensions=["goal"], temperature=0.5, name="warm")],
        R.RelativeJudge: [R.RelativeJudge(judge.removeprefix("llm:")), R.RelativeJudge(f"m@{url}", seed=4)],
        R.RuleAttributor: [R.RuleAttributor()],
        R.FunctionAttributor: [R.FunctionAttributor(never), R.FunctionAttributor(never, 10.0, "mine")],
        R.RecordedAttributor: [R.RecordedAttributor({"e": {"agent_0": [1.0, None], "agent_1": {"goal": [3.0]}}}, 5.0)],
        R.LLMAttributor: [as_attributor(f"llm:m@{url}"), as_attributor({**attributor, "per_dimension": True})],
        R.Dial: [R.Dial("rule", 0.25), R.Dial(R.Dial(attributor, 0.5), 0.5, seed=1, name="twice")],
        R.MonteCarloAttributor: [R.MonteCarloAttributor(credit), R.MonteCarloAttributor(credit, 10.0, "mine")],
        R.StandingOffer: [R.StandingOffer(), R.StandingOffer({"goal": 1.0}, "strict", "native")],
        R.JudgePotential: [
            R.JudgePotential(never),
            R.JudgePotential(judge, "goal", "near"),
            R.JudgePotential(never, R.Dimension("hope", 0, 4, "How much hope is there?")),
        ],
        R.FunctionPotential: [R.FunctionPotential(never), R.FunctionPotential(never, "mine")],
    }


def exported(kind):
    found = [getattr(R, name) for name in R.__all__]
    return {one for one in found if inspect.isclass(one) and issubclass(one, kind) and not inspect.isabstract(one)}


def paths_in(spec):
    """Every text in a spec that names a module of this package."""
    items = spec.values() if isinstance(spec, dict) else spec if isinstance(spec, list) else []
    own = [spec] if isinstance(spec, str) and spec.startswith("sotopia_env") else []
    return own + [path for item in items for path in paths_in(item)]


def test_all_that_is_exported_is_written_by_public_paths_and_read_again(chat_server, named):
    table = components(chat_server.url)
    # A reward model needs its folder: tests/rewards/reward_model.
    assert set(table) == set().union(*map(exported, MAKERS)) - {R.RewardModel}
    written = Counter()
    for kind, made in table.items():
        (make,) = [make for base, make in MAKERS.items() if issubclass(kind, base)]
        for component in made:
            assert kind in (type(component), R.Sum, R.ClipReward)
            text = json.dumps(component.spec())
            again = make(json.loads(text))
            assert type(again) is type(component)
            assert json.dumps(again.spec()) == text
            if kind not in (R.LLMJudge, R.RelativeJudge, R.LLMAttributor) and "llm:" not in text:
                assert again == component
            else:
                assert again.name == component.name
                assert getattr(again, "version", "") == getattr(component, "version", "")
            for path in paths_in(json.loads(text)):
                assert path.partition(":")[0] in PUBLIC_MODULES, path
                written[path] += 1
    assert written["sotopia_env.rewards:Outcome"] >= 5
    assert written["sotopia_env.rewards:FunctionJudge"] >= 5


OLD = """
rewards.attribution:Attribution rewards.attributors:FunctionAttributor rewards.attributors:RecordedAttributor
rewards.attributors:RuleAttributor rewards.ensemble_judge:EnsembleJudge rewards.judge_reward:JudgeScores
rewards.judges:FunctionJudge rewards.judges:RuleJudge rewards.judges:StrictJudge rewards.llm_attributor:LLMAttributor
rewards.llm_judge:LLMJudge rewards.measured_attributors:Dial rewards.measured_attributors:MonteCarloAttributor
rewards.monte_carlo:MonteCarlo rewards.outcome:Outcome rewards.penalties:FormatPenalty rewards.penalties:LengthPenalty
rewards.penalties:RepetitionPenalty rewards.penalties:SecretPenalty rewards.potentials:FunctionPotential
rewards.potentials:JudgePotential rewards.potentials:StandingOffer rewards.progress:Progress
rewards.relative_judge:RelativeJudge rewards.reward:FunctionReward rewards.reward:Sum rewards.reward_model:RewardModel
rewards.shapley:Shapley rewards.transforms:ClipReward
""".split()
"""Where each class stood when specs held the file of the code."""


def aged(spec, old):
    """A spec as an earlier version wrote it."""
    if isinstance(spec, dict):
        return {name: aged(item, old) for name, item in spec.items()}
    if isinstance(spec, list):
        return [aged(item, old) for item in spec]
    return old.get(spec, spec) if isinstance(spec, str) else spec


def test_specs_with_the_paths_of_an_earlier_version_are_read(chat_server, named):
    old = {f"sotopia_env.rewards:{path.partition(':')[2]}": f"sotopia_env.{path}" for path in OLD}
    table = components(chat_server.url)
    assert {f"sotopia_env.rewards:{kind.__name__}" for kind in (*table, R.RewardModel)} == set(old)
    for kind, made in table.items():
        (make,) = [make for base, make in MAKERS.items() if issubclass(kind, base)]
        for component in made:
            spec = json.loads(json.dumps(component.spec()))
            assert make(aged(spec, old)).spec() == component.spec()
    assert R.get_reward("sotopia_env.rewards.outcome:Outcome") == R.Outcome()
    assert as_judge("sotopia_env.rewards.judges:RuleJudge") == R.RuleJudge()
    assert as_attributor("sotopia_env.rewards.attributors:RuleAttributor") == R.RuleAttributor()
    assert as_potential("sotopia_env.rewards.potentials:StandingOffer") == R.StandingOffer()


def test_what_has_no_path_cannot_be_written(make_episode):
    for component, field in (
        (R.FunctionJudge(lambda episode, agent: {}), "function"),
        (R.FunctionAttributor(lambda episode, agent: None), "function"),
        (R.FunctionPotential(lambda episode, agent: 0.0), "function"),
        (R.Outcome(judge=lambda episode, agent: {}), "function"),
        (R.MonteCarlo(lambda observation, rng: "a"), "policies"),
    ):
        with pytest.raises(ValueError, match=f"{field}: .* cannot be written as text"):
            component.spec()

    class Bare(R.Judge):
        name = "bare"

        def judge(self, episodes):
            return []

    with pytest.raises(ValueError, match=r"judge: Bare is no dataclass and cannot be written as text; define spec"):
        R.Outcome(judge=Bare()).spec()


def test_children_are_what_a_component_is_directly_made_of():
    judge = R.EnsembleJudge(["rule", "strict"])
    credit = R.MonteCarlo("random", k=1)
    dial = R.Dial(R.MonteCarloAttributor(credit), 0.5)
    direct = R.Attribution("direct", dial, judge=judge)
    offer = R.StandingOffer()
    progress = R.Progress(offer)
    clipped = R.ClipReward(direct)
    reward = clipped + 0.5 * progress + R.LengthPenalty()
    assert reward.children() == (clipped, progress, R.LengthPenalty())
    assert clipped.children() == (direct,)
    assert direct.children() == (dial, judge)
    assert dial.children() == (dial.truth,)
    assert dial.truth.children() == (credit,)
    assert judge.children() == (R.RuleJudge(), R.StrictJudge())
    assert progress.children() == (offer, R.RuleJudge())
    assert R.LengthPenalty().children() == R.RuleJudge().children() == R.RuleAttributor().children() == ()
    walked = list(reward.walk())
    assert len(walked) == len({id(one) for one in walked})
    assert [type(one).__name__ for one in walked] == (
        "Sum ClipReward Attribution Dial MonteCarloAttributor MonteCarlo RuleJudge EnsembleJudge RuleJudge StrictJudge "
        "Progress StandingOffer RuleJudge RuleJudge LengthPenalty"
    ).split()


def test_other_children_make_another_component_and_the_same_ones_the_same():
    reward = R.ClipReward(R.Attribution("scaled", R.Dial("rule", 0.5))) + R.Progress()

    def strict(component):
        return R.StrictJudge() if isinstance(component, R.RuleJudge) else component.with_children(strict)

    changed = reward.with_children(strict)
    clipped, progress = (part for _, part in changed.parts())
    assert (clipped.reward.judge, progress.judge) == (R.StrictJudge(), R.StrictJudge())
    # The standing offer that was asked for by name goes with the judge of the outcome.
    assert progress.potential.judge == R.StrictJudge()
    assert clipped.reward.attributor is reward.parts()[0][1].reward.attributor
    assert reward.with_children(lambda child: child) is reward


def test_a_family_of_ones_own_reaches_whatever_is_below(family, make_episode):
    reward = R.ClipReward(R.Attribution("scaled", R.Dial(R.MonteCarloAttributor(R.MonteCarlo("random", k=1)), 1.0)))
    reward += R.Progress(R.StandingOffer(), judge=R.EnsembleJudge(["rule"]))
    bound = reward.for_family(family)
    judges = [one for one in bound.walk() if isinstance(one, R.RuleJudge)]
    assert len(judges) == 4
    assert all(judge.family is family for judge in judges)
    plays_on = [one for one in bound.walk() if isinstance(one, R.MonteCarlo)]
    assert [one.family for one in plays_on] == [family]
    shipped = R.get_reward("direct + 0.5 * progress")
    assert shipped.for_family(R.judges.base.FAMILIES["bargain"]()) is shipped


@dataclass(frozen=True)
class Refusing(R.Judge):
    """Can never score anything."""

    name: str = "refusing"

    def judge(self, episodes):
        return []

    def check(self, family, tasks=None):
        raise ValueError("refused")


def test_whatever_can_never_be_computed_is_refused_however_deep(family):
    potential = R.JudgePotential(Refusing(), "goal")
    credit = R.MonteCarlo("random", k=1, judge=Refusing())
    for reward in (
        R.Outcome(judge=Refusing()),
        R.Outcome() + 0.1 * R.ClipReward(R.Outcome(judge=R.EnsembleJudge(["rule", Refusing()]), name="x")),
        R.Progress(potential),
        R.Progress(credit),
        R.Attribution("direct", R.Dial(R.MonteCarloAttributor(credit), 0.5)),
    ):
        with pytest.raises(ValueError, match="refused"):
            reward.check(family)
    R.Progress().check(family)


@dataclass(frozen=True)
class GoalAlone(R.Attributor):
    """Tells importances for the goal, and for nothing else."""

    name: str = "goal-alone"
    levels: float = 3.0

    def importances(self, episodes, dimensions):
        return []

    def check_dimensions(self, family, dimensions):
        if set(dimensions) != {"goal"}:
            raise ValueError(f"{family.name}: goal alone")


def test_an_attributor_is_asked_whether_it_knows_the_dimensions(family):
    for attributor in (GoalAlone(), R.Dial(GoalAlone(), 0.5)):
        R.ClipReward(R.Attribution("direct", attributor)).check(family)
        with pytest.raises(ValueError, match="votes: goal alone"):
            R.ClipReward(R.Attribution("direct", attributor, dimensions={"goal": 1, "relationship": 1})).check(family)


def test_the_judges_of_a_reward_of_ones_own_are_its_children(family):
    class Own(R.Reward):
        name, kind, timing = "own", "return", "causal"

        def rewards(self, episodes):
            return numbers(episodes)

        def judges(self):
            return (Refusing(),)

    @dataclass(frozen=True)
    class Both(Own):
        other: R.Judge

    assert Own().children() == (Refusing(),)
    assert Both(R.RuleJudge()).children() == (R.RuleJudge(), Refusing())
    assert isinstance(Own(), Component)
    assert Own().for_family(family).name == "own"
    with pytest.raises(ValueError, match="refused"):
        (Own() + R.LengthPenalty()).check(family)


def test_an_object_with_values_is_a_potential_with_its_name(make_episode, judge):
    class Half:
        name, needs = "half", ("continuations",)

        def values(self, episodes):
            return [dict.fromkeys(e.agents, 0.5) for e in episodes]

    reward = R.Progress(Half(), judge=judge)
    assert (reward.name, reward.needs) == ("progress@half", ("continuations",))
    (paid,) = reward([make_episode("a", "b", "a")])
    # "a" was said twice where three times are needed: G is 0 for agent_0 and 1 for agent_1.
    assert paid == {"agent_0": [0.0, -0.5], "agent_1": [0.5]}
    assert replace(reward, gamma=1.0) == reward
