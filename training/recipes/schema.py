"""A recipe as YAML: the sections of a whole run, checked before anything starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields as fields_of
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from sotopia_env.rewards.designs import ATTRIBUTION_DESIGNS, DESIGNS
from sotopia_env.rewards.dimensions import DIMENSIONS, Scale
from sotopia_env.training.options import CLONING, GRPO, REWARD_MODEL, Options, default_of, own_settings, source_of
from sotopia_env.training.quickstart_settings import Learning, Settings

StageName = Literal["experts", "filtering", "cloning", "self-play", "labels", "reward-model", "grpo", "evaluation"]
STAGES: tuple[StageName, ...] = get_args(StageName)

Scores = Literal["judge", "stored"]
"""Whose scores count: the recipe's judge is asked, or the latest judgement that an episode holds is taken."""


class Section(BaseModel):
    """A part of a recipe. A key that it does not have is refused, with the nearest one that it has."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            for key in given:
                if key not in cls.model_fields and cls.model_config["extra"] == "forbid":
                    raise ValueError(f"there is no key {key!r}{_nearest(str(key), cls.model_fields)}")
        return given


class TasksFrom(Section):
    """Which tasks are played; a text alone is the name.

    Args:
        name: ``"sotopia"``, ``"sotopia:train"``, ``"sotopia:all"`` and so on are read from the folder of ``--data``;
            else a family with its split, or a file of tasks.
        scenarios: a set of ``used_env.json``, such as ``"SFT-round-1"``: its scenarios alone.
        without: a subset such as ``"hard"``, whose scenarios are left out.
        pairings: of each scenario the first so many pairs of characters.
        number: so many tasks, spread evenly over those; how many a family draws.
    """

    name: str
    scenarios: str | None = None
    without: str | None = None
    pairings: PositiveInt | None = None
    number: PositiveInt | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _of_published(self) -> TasksFrom:
        given = [key for key in ("scenarios", "without", "pairings") if getattr(self, key) is not None]
        if given and not self.published:
            raise ValueError(f"{given[0]}: that is for published scenarios; name is {self.name!r}")
        return self

    @property
    def published(self) -> bool:
        """Whether they are read from the folder of published files."""
        return self.name.partition(":")[0] == "sotopia"


class Play(Section):
    """How dialogues are played, in all stages but GRPO.

    Args:
        max_cycles: turn limit of a dialogue.
        batch_size: dialogues side by side.
        temperature: of the clone and the learner.
        max_new_tokens: length limit of one of their turns.
        options: further ones of ``LocalLM``, by name.
    """

    max_cycles: PositiveInt = 20
    batch_size: PositiveInt = 64
    temperature: NonNegativeFloat = 1.0
    max_new_tokens: PositiveInt = 256
    options: dict[str, Any] = {}


class Experts(Section):
    """Whose dialogues are cloned: episodes that there are, or those that a policy plays with itself.

    Args:
        episodes: a file of episodes, of this package or published, or the id of a data set on the hub. It is read in
            place.
        policies: of these episodes only those that nobody else played, by the names that stand in them.
        scenarios: of these episodes only those of a set of ``used_env.json``.
        policy: any name of a policy, such as ``openai:MODEL@URL``.
        tasks: that it plays.
        per_task: how often each.
    """

    episodes: str | None = None
    policies: list[str] | None = None
    scenarios: str | None = None
    policy: str | None = None
    tasks: TasksFrom | None = None
    per_task: PositiveInt = 1

    @model_validator(mode="after")
    def _one_of_two(self) -> Experts:
        if (self.episodes is None) == (self.policy is None):
            raise ValueError("give either episodes, a file that is there, or the policy that plays them")
        if (self.policy is None) != (self.tasks is None):
            raise ValueError("policy and tasks belong together: give both, or episodes alone")
        if self.policy is not None and (self.policies or self.scenarios):
            raise ValueError("policies and scenarios choose among episodes that there are; policy plays new ones")
        return self


class Filtering(Section):
    """Which dialogues are cloned: for each scenario and seat those with the best goal, ties by the overall score.

    Args:
        top: so many.
        scores: whose.
    """

    top: PositiveInt = 2
    scores: Scores = "judge"


class Counted(BaseModel):
    """Settings of a trainer by its own names; those that stand here are what a dry run counts with."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    @property
    def given(self) -> dict[str, Any]:
        """What was given, nothing filled in."""
        return self.model_dump(exclude_unset=True)


class Supervised(Counted):
    """What cloning and reward modelling count their steps from."""

    per_device_train_batch_size: PositiveInt
    gradient_accumulation_steps: PositiveInt = 1
    num_train_epochs: PositiveFloat = 1.0
    max_steps: int = -1

    @property
    def rows_per_step(self) -> int:
        """Rows that one step of the optimizer takes, in one process."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps


class Cloning(Section):
    """Behaviour cloning of what was chosen.

    Args:
        adapter: fields of PEFT's ``LoraConfig``; ``None`` trains the whole model.
        settings: of ``CloningConfig`` by name.
    """

    adapter: dict[str, Any] | None = None
    settings: Supervised


class SelfPlay(Section):
    """Dialogues of the clone with itself; they are played where ``labels`` reads them.

    Args:
        tasks: that it plays.
        per_task: how often each.
    """

    tasks: TasksFrom
    per_task: PositiveInt = 1


class Labels(Section):
    """One number for each own turn and dimension: the score of the episode, spread by how important the turn was.

    Args:
        episodes: whose dialogues are labelled.
        scores: whose.
        dimensions: ``{dimension: weight}`` in the reward, or a list of equal ones.
        design: of :class:`~sotopia_env.rewards.Attribution` or :class:`~sotopia_env.rewards.Outcome`.
        levels: of importances, 3, 5 or 10.
        scale: of scores.
    """

    episodes: Literal["experts", "self-play"] = "experts"
    scores: Scores = "judge"
    dimensions: dict[str, PositiveFloat] = {"goal": 1.0, "relationship": 1.0, "knowledge": 1.0}
    design: str = "direct"
    levels: Literal[3, 5, 10] = 3
    scale: Scale = "unit"

    @field_validator("dimensions", mode="before")
    @classmethod
    def _list_of_equals(cls, given: Any) -> Any:
        return dict.fromkeys(given, 1.0) if isinstance(given, list) else given

    @model_validator(mode="after")
    def _known_names(self) -> Labels:
        if not self.dimensions:
            raise ValueError("dimensions: give at least one")
        for name in self.dimensions:
            if name not in DIMENSIONS:
                raise ValueError(f"dimensions: there is no {name!r}{_nearest(name, DIMENSIONS)}")
        known = [*ATTRIBUTION_DESIGNS, *DESIGNS]
        if self.design not in known:
            raise ValueError(f"design: {self.design!r} is none of {', '.join(known)}")
        return self

    @property
    def attributed(self) -> bool:
        """Whether the design asks how important turns were."""
        return self.design in ATTRIBUTION_DESIGNS


class RewardModelling(Section):
    """A reward model of the labels, one head for each dimension.

    Args:
        start: the ``"base"`` model, or the ``"clone"``.
        adapter: as in cloning.
        settings: of ``RewardModelConfig`` by name.
    """

    start: Literal["base", "clone"] = "base"
    adapter: dict[str, Any] | None = None
    settings: Supervised


class GRPOSettings(Counted):
    """What GRPO counts its generations from."""

    max_steps: PositiveInt
    per_device_train_batch_size: PositiveInt
    num_generations: PositiveInt
    gradient_accumulation_steps: PositiveInt = 1
    steps_per_generation: PositiveInt | None = None
    num_iterations: PositiveInt = 1
    states_per_dialogue: PositiveInt = 1
    continuations: NonNegativeInt | None = None
    max_turn_tokens: PositiveInt = 48


class Learner(Section):
    """GRPO in the environment against the frozen clone, paid by the reward model.

    Args:
        tasks: that are played.
        rollouts: ``"single-turn"``: turns at one state that was reached in play are compared; ``"multi-turn"``: whole
            dialogues of one task and seat.
        reference: what the learner is held against by ``beta``: the ``"clone"``, or the bare ``"base"`` model.
        added_reward: paid besides, such as ``"0.1 * format"``.
        settings: of ``GRPOConfig`` by name.
    """

    tasks: TasksFrom
    rollouts: Literal["single-turn", "multi-turn"] = "multi-turn"
    reference: Literal["clone", "base"] = "clone"
    added_reward: str | None = None
    settings: GRPOSettings

    @property
    def described_settings(self) -> dict[str, Any]:
        """The settings of ``GRPOConfig``; that dialogues are played whole is its default."""
        return self.settings.given | ({} if self.rollouts == "multi-turn" else {"rollouts": self.rollouts})


class PublishedScore(Section):
    """A row that somebody published, to stand beside ours: mean goal and overall score, and where they are from."""

    name: str
    goal: float
    overall: float | None = None
    source: str


class Evaluated(Section):
    """A set of tasks on which clone and learner are evaluated.

    Args:
        tasks: which.
        seats: ``"both"`` of every pairing once, or those that are ``"listed"``, as in Sotopia's own benchmark.
        published: rows of others.
    """

    tasks: TasksFrom
    seats: Literal["both", "listed"] = "both"
    published: list[PublishedScore] = []


class Evaluating(Section):
    """Evaluation of the clone and of the learner, with the same partner, tasks and seed.

    Args:
        sets: of tasks.
        partner: ``"clone"``, or the name of a policy.
        judge: of the evaluation, where it is not the recipe's.
        allow_train: evaluate on tasks of the training split all the same.
    """

    sets: list[Evaluated] = Field(min_length=1)
    partner: str = "clone"
    judge: str | None = None
    allow_train: bool = False


class Price(Section):
    """Of a million tokens, in any money."""

    read: NonNegativeFloat
    written: NonNegativeFloat


class Prices(Section):
    """What calls cost, by who is asked; ``None`` is unknown."""

    policy: Price | None = None
    judge: Price | None = None
    attributor: Price | None = None


class Calls(Section):
    """How judge and attributor are asked.

    Args:
        max_tokens: length limit of a reply.
        concurrency: calls in flight at once.
        timeout: seconds one may take.
        enforce_schema: have the server hold replies to their form; by default at OpenAI alone. vLLM does, and it is
            what makes a small model usable.
    """

    enforce_schema: bool | None = None
    max_tokens: PositiveInt = 2048
    concurrency: PositiveInt = 64
    timeout: PositiveFloat = 120.0


class Talk(Section):
    """How long dialogues are expected to be: turns of both sides together, and words a turn."""

    turns: PositiveFloat
    words: PositiveFloat


class Machine(Section):
    """A GPU, for estimates of time.

    Args:
        name: what it is.
        tflops: of dense bfloat16.
        utilisation: the share of them that training and reading reach.
        bandwidth: of its memory, in TB a second.
        bandwidth_use: the share of it that writing tokens reaches.
        in_flight: dialogues that are decoded side by side.
    """

    name: str
    tflops: PositiveFloat
    utilisation: float = Field(0.4, gt=0, le=1)
    bandwidth: PositiveFloat
    bandwidth_use: float = Field(0.5, gt=0, le=1)
    in_flight: PositiveInt = 64


class Estimates(Section):
    """What a dry run assumes.

    Args:
        tokens_per_word: of what is said.
        characters_per_token: of what is read: prompts and records.
        reason_words: of a judge, for each score.
        experts: their dialogues.
        clone: those of the clone.
        learner: those of the learner.
        parameters: of the model, where they can be told neither from its folder nor from its name.
        machine: the GPU; without one, hours are unknown.
    """

    tokens_per_word: PositiveFloat = 1.35
    characters_per_token: PositiveFloat = 4.0
    reason_words: PositiveInt = 25
    experts: Talk
    clone: Talk
    learner: Talk
    parameters: PositiveFloat | None = None
    machine: Machine | None = None


class PublishedCount(Section):
    """A count that somebody published of this recipe, held against the dry run's.

    Args:
        count: its name in the dry run, such as ``"cloning.steps"``.
        value: as published.
        source: where.
        note: why ours differs, where it does.
    """

    count: str
    value: float
    source: str
    note: str = ""


class Recipe(Section):
    """A whole run; every section is described at its own class.

    Args:
        description: what it is, in words.
        seed: of everything.
        model: what is trained: a directory or a hub id.
        judge: who scores dialogues: ``llm:MODEL@URL``, or any name of a judge.
        attributor: who says how important turns were; the judge's model by default.
    """

    description: str = ""
    seed: NonNegativeInt = 0
    model: str | None = None
    judge: str | None = None
    attributor: str | None = None
    calls: Calls = Calls()
    play: Play = Play()
    experts: Experts
    filtering: Filtering = Filtering()
    cloning: Cloning
    self_play: SelfPlay | None = None
    labels: Labels = Labels()
    reward_model: RewardModelling
    grpo: Learner
    evaluation: Evaluating
    prices: Prices = Prices()
    estimates: Estimates
    published: list[PublishedCount] = []

    @model_validator(mode="after")
    def _goes_together(self) -> Recipe:
        if self.labels.episodes == "self-play" and self.self_play is None:
            raise ValueError("labels.episodes is 'self-play', and there is no section self_play; add one")
        if self.labels.scale == "native" and self.reward_model.settings.given.get("normalizer", "range") == "range":
            raise ValueError(
                "reward_model.settings.normalizer: 'range' takes labels on the unit scale, and labels.scale is "
                "'native'; give 'paper', 'min-max' or 'z-score'"
            )
        for place, kind, options, given in (
            ("cloning", "behaviour_cloning:CloningConfig", CLONING, self.cloning.settings.given),
            (
                "reward_model",
                "reward_modelling.config:RewardModelConfig",
                REWARD_MODEL,
                self.reward_model.settings.given,
            ),
            ("grpo", "grpo_config:GRPOConfig", GRPO, self.grpo.settings.given),
        ):
            _check_names(f"{place}.settings", f"sotopia_env.training.{kind}", options, given)
        return self

    @property
    def stages(self) -> list[StageName]:
        """The stages that it has, in order: self-play is one where its dialogues are read."""
        return [stage for stage in STAGES if stage != "self-play" or self.labels.episodes == "self-play"]


class QuickstartRecipe(Section):
    """What ``sotopia-env quickstart`` does, its settings as YAML.

    Args:
        description: what it is, in words.
        seed: of everything.
        quickstart: fields of :class:`~sotopia_env.training.quickstart_settings.Settings`.
    """

    description: str = ""
    seed: NonNegativeInt = 0
    quickstart: dict[str, Any] = {}

    @model_validator(mode="after")
    def _can_be_made(self) -> QuickstartRecipe:
        self.settings  # noqa: B018
        return self

    @property
    def settings(self) -> Settings:
        """The settings, made."""
        given = dict(self.quickstart)
        if isinstance(given.get("learning"), Mapping):
            given["learning"] = Learning(**_checked_fields(Learning, given["learning"], "quickstart.learning"))
        return Settings(**_checked_fields(Settings, given, "quickstart"))


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(path.name.removesuffix(".yaml") for path in _shipped() if path.name.endswith(".yaml"))


def recipe_text(given: str) -> tuple[str, str]:
    """The name of a recipe's file and its text.

    Args:
        given: a name of :func:`recipe_names`, or a file.

    Raises:
        ValueError: it is neither.
    """
    path = Path(given)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ValueError(f"there is no recipe {given}; sotopia-env recipe sotopia-rl --copy {given} makes one")
        return given, path.read_text(encoding="utf-8")
    if given not in recipe_names():
        raise ValueError(f"{given!r} is no recipe, and no file that ends in .yaml{_nearest(given, recipe_names())}")
    return f"{given}.yaml", files("sotopia_env.training.recipes").joinpath(f"{given}.yaml").read_text(encoding="utf-8")


def read_recipe(given: str, **options: Any) -> Recipe | QuickstartRecipe:
    """A recipe, checked.

    Args:
        given: a name of :func:`recipe_names`, or a file.
        options: keys at the top that take the place of the file's, such as ``model`` and ``judge``; ``None`` leaves
            them.

    Raises:
        ValueError: there is no such recipe, or something in it is wrong; the error names file, key and remedy.
    """
    name, text = recipe_text(given)
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{name} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{name} holds no mapping of keys to sections")
    changed = {key: value for key, value in options.items() if value is not None}
    if changed.get("model") not in (None, found.get("model")) and isinstance(found.get("estimates"), dict):
        # It was told of the other model.
        found["estimates"].pop("parameters", None)
    kind: type[Recipe] | type[QuickstartRecipe] = QuickstartRecipe if "quickstart" in found else Recipe
    for key in changed:
        if key not in kind.model_fields:
            raise ValueError(
                f"--{key}: {name} makes its own; leave it out, or change the keys of its section quickstart"
            )
    try:
        return kind.model_validate({**found, **changed})
    except ValidationError as error:
        raise ValueError("; ".join(f"{name}: {problem}" for problem in _problems(error))) from error


def _shipped() -> Iterator[Any]:
    return files("sotopia_env.training.recipes").iterdir()


def _problems(error: ValidationError) -> Iterator[str]:
    """What is wrong, a key and its remedy each; of a value the beginning is shown."""
    for one in error.errors():
        where = ".".join(map(str, one["loc"]))
        said = one["msg"].removeprefix("Value error, ")
        if one["type"] == "missing":
            said = "this key is missing"
        elif one["type"] != "value_error":
            said = f"{one['input']!r:.60}: {said[:1].lower()}{said[1:]}"
        yield f"{where}: {said}" if where else said


def _checked_fields(kind: type[Any], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Values for fields of a dataclass, by name, of the types of their defaults."""
    known = {field.name: default_of(field) for field in fields_of(kind)}
    made = {}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"{where}: there is no key {name!r}{_nearest(name, known)}")
        try:
            # What is None by default is checked where it is used.
            made[name] = value if known[name] is None else TypeAdapter(type(known[name])).validate_python(value)
        except ValidationError as error:
            raise ValueError(f"{where}.{name}: {'; '.join(_problems(error))}") from error
    return made


def _nearest(name: str, known: Any) -> str:
    near = get_close_matches(name, list(known), n=2)
    return f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(map(str, known))}"


def _check_names(where: str, path: str, options: Options, given: Mapping[str, Any]) -> None:
    """Refuse settings that a trainer does not have, without its libraries; their values it checks itself."""
    module, _, kind = path.partition(":")
    known = options.effective.union(options.library, own_settings(source_of(module, kind)))
    for name in given:
        if name in ("output_dir", "seed"):
            raise ValueError(f"{where}.{name}: the folder and the seed of the run say that; leave it out")
        if name in options.refused:
            raise ValueError(f"{where}.{name}: {options.refused[name]}")
        if name not in known:
            near = get_close_matches(name, sorted(known), n=3)
            remedy = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ValueError(f"{where}.{name}: {kind} has no setting of that name{remedy}")
