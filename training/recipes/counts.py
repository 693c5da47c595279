"""A dry run: what each stage of a recipe would read, write, ask, play and learn, before anything starts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from sotopia_env.episodes import Episode
from sotopia_env.published.reading import any_episodes
from sotopia_env.tasks import Task
from sotopia_env.training.recipes.cost import Asked, Computed, parameters_of, total
from sotopia_env.training.recipes.dialogue_size import DialogueSize, dialogue_size
from sotopia_env.training.recipes.experts import chosen_experts
from sotopia_env.training.recipes.files import READS, WRITES
from sotopia_env.training.recipes.schema import Recipe, StageName, Supervised, Talk
from sotopia_env.training.recipes.tasks import Expected, evaluation_tasks, expected_tasks, known_tasks

_SEATS = 2
"""Sides of a dialogue of Sotopia."""

Counts = Mapping[str, float | None]


@dataclass(frozen=True)
class StageCounts:
    """What one stage takes.

    Args:
        name: of the stage.
        counts: by name; ``None`` is unknown.
        asked: questions to models behind servers.
        computed: by the model of the run.
        notes: what was assumed, or is missing.
        finished: whether it is done already.
    """

    name: str
    counts: Counts
    asked: tuple[Asked, ...] = ()
    computed: Computed = field(default_factory=Computed)
    notes: tuple[str, ...] = ()
    finished: bool = False


@dataclass(frozen=True)
class DryRun:
    """What a recipe would take.

    Args:
        recipe: which.
        data: the folder of published files.
        stages: which of its stages; all by default.
        finished: those that are done.
    """

    recipe: Recipe
    data: Path | None = None
    stages: Sequence[StageName] = ()
    finished: frozenset[str] = field(default_factory=frozenset)

    @cached_property
    def found(self) -> list[StageCounts]:
        """The stages, in order."""
        made = {
            "experts": self._experts,
            "filtering": self._filtering,
            "cloning": self._cloning,
            "self-play": self._self_play,
            "labels": self._labels,
            "reward-model": self._reward_model,
            "grpo": self._grpo,
            "evaluation": self._evaluation,
        }
        wanted = self.stages or self.recipe.stages
        return [made[stage]() for stage in self.recipe.stages if stage in wanted]

    @property
    def record(self) -> dict[str, Any]:
        """All of it as plain data; ``None`` is unknown."""
        prices, machine = self.recipe.prices, self.recipe.estimates.machine
        stages = [
            {
                "stage": one.name,
                "finished": one.finished,
                "reads": READS[one.name],
                "writes": WRITES[one.name],
                "counts": dict(one.counts),
                "calls": [{**vars(asked), "money": asked.money(getattr(prices, asked.role))} for asked in one.asked],
                "tokens": {name: getattr(one.computed, name) for name in ("read", "written", "trained")},
                "gpu_hours": one.computed.gpu_hours(self.parameters, machine),
                "least_gpu_memory": self.least_memory(one),
                "notes": list(one.notes),
            }
            for one in self.found
        ]
        return {"parameters": self.parameters, "stages": stages, "published": self.against_published}

    @property
    def parameters(self) -> float | None:
        """Of the model."""
        return parameters_of(self.recipe.model, self.recipe.estimates.parameters)

    @property
    def against_published(self) -> list[dict[str, Any]]:
        """Counts that somebody published beside ours, ``ratio`` being ours over theirs."""
        machine = self.recipe.estimates.machine
        ours: dict[str, float | None] = {}
        for one in self.found:
            ours |= {f"{one.name}.{name}": value for name, value in one.counts.items()}
            ours[f"{one.name}.gpu_hours"] = one.computed.gpu_hours(self.parameters, machine)
        rows = []
        for published in self.recipe.published:
            value = ours.get(published.count)
            ratio = None if value is None else value / published.value
            rows.append({**published.model_dump(), "ours": value, "ratio": ratio})
        return rows

    def least_memory(self, one: StageCounts) -> float | None:
        """Of a GPU, in bytes; ``None`` where that is unknown, or the model has no part in the stage."""
        return None if one.computed.nothing else one.computed.least_memory(self.parameters)

    def _counted(self, name: StageName, counts: Counts, **more: Any) -> StageCounts:
        notes = tuple(dict.fromkeys(note for note in more.pop("notes", ()) if note))
        return StageCounts(name, counts, notes=notes, finished=name in self.finished, **more)

    def _experts(self) -> StageCounts:
        given, dialogues = self.recipe.experts, self._expert_dialogues
        counts = {"dialogues": dialogues, "scenarios": self._expert_scenarios}
        notes = [self._expert_note]
        if given.policy is None:
            return self._counted("experts", counts, notes=[*notes, f"read in place: {given.episodes}"])
        asked = _asked("policy", given.policy, dialogues, self._size("experts"))
        if not asked and given.policy.startswith("local:"):
            notes.append("a local policy that is not the run's model is not in the estimate")
        return self._counted("experts", counts, asked=asked, notes=notes)

    def _filtering(self) -> StageCounts:
        scores = self.recipe.filtering.scores == "judge"
        asked = self._judging(self._expert_dialogues, "experts") if scores else ()
        return self._counted("filtering", {"dialogues": self._expert_dialogues, "rows": self._cloned_rows}, asked=asked)

    def _cloning(self) -> StageCounts:
        section, size = self.recipe.cloning, self._size("experts")
        counts = self._supervised(section.settings, self._cloned_rows)
        tokens = _times(counts["row_uses"], _part(size, "row"))
        return self._counted("cloning", counts, computed=Computed(trained=tokens, whole=section.adapter is None))

    def _self_play(self) -> StageCounts:
        dialogues = self._self_play_dialogues
        return self._counted(
            "self-play",
            {"dialogues": dialogues},
            computed=self._played(dialogues, self._size("clone")),
            notes=[self._tasks("self_play").note],
        )

    def _labels(self) -> StageCounts:
        section = self.recipe.labels
        kind = "experts" if section.episodes == "experts" else "clone"
        dialogues = self._labelled_dialogues
        # What the filter has asked stands in the cache.
        known = section.episodes == "experts" and self.recipe.filtering.scores == "judge"
        asked = self._judging(dialogues, kind) if section.scores == "judge" and not known else ()
        if section.attributed:
            calls = _times(dialogues, _SEATS * len(section.dimensions))
            asked += _asked("attributor", self._attributor, calls, self._size(kind))
        notes = ["scores are those that filtering asked for"] if known and section.scores == "judge" else []
        return self._counted("labels", {"dialogues": dialogues}, asked=asked, notes=notes)

    def _reward_model(self) -> StageCounts:
        section = self.recipe.reward_model
        size = self._size("experts" if self.recipe.labels.episodes == "experts" else "clone")
        held_out = float(section.settings.given.get("held_out", 0.1))
        rows = _times(self._labelled_dialogues, _SEATS * (1.0 - held_out))
        counts = self._supervised(section.settings, rows)
        tokens = _times(counts["row_uses"], _part(size, "row"))
        whole = section.adapter is None and (section.start == "base" or self.recipe.cloning.adapter is None)
        return self._counted("reward-model", counts, computed=Computed(trained=tokens, whole=whole))

    def _grpo(self) -> StageCounts:
        section, size, tasks = self.recipe.grpo, self._size("learner"), self._tasks("grpo")
        given = section.settings
        single = section.rollouts == "single-turn"
        per_generation = given.steps_per_generation or given.gradient_accumulation_steps
        micro = given.max_steps * given.gradient_accumulation_steps
        generations = math.ceil(micro / (per_generation * given.num_iterations)) * (
            given.per_device_train_batch_size * per_generation
        )
        rows = given.per_device_train_batch_size * given.gradient_accumulation_steps
        groups = generations / given.num_generations
        dialogues = math.ceil(groups / given.states_per_dialogue) if single else generations
        # The dialogue that is branched is one of the continuations of each of its groups.
        rests = generations * given.continuations - groups if single and given.continuations else 0
        counts: dict[str, float | None] = {
            "dialogues": dialogues + rests,
            "rows": rows * given.max_steps,
            "steps": given.max_steps,
            "generations": generations,
            "generations_per_group": given.num_generations,
            "groups": groups,
            "rows_per_step": rows,
        }
        states = _times(tasks.number, _SEATS * self.recipe.estimates.clone.turns)
        if single:
            counts["epochs"] = None if not states else groups / states
        played = self._played(counts["dialogues"], size)
        length = None if size is None else (size.prompt + size.turn if single else size.row)
        trained = _times(counts["rows"], length)
        # The reward model reads every row once, and the reference every row where it counts.
        scored = _times(trained, 2.0 if float(given.given.get("beta", 0.0)) else 1.0)
        more = _times(generations, _part(size, "turn")) if single else 0.0
        whole = self.recipe.cloning.adapter is None
        computed = Computed(
            read=total([played.read, scored]),
            written=total([played.written, more]),
            trained=trained,
            whole=whole,
            # The reward model, the partner where it is no adapter, and the bare base where it is the reference.
            copies=1 + whole + (section.reference == "base"),
        )
        return self._counted("grpo", counts, computed=computed, notes=[tasks.note])

    def _evaluation(self) -> StageCounts:
        section = self.recipe.evaluation
        counts: dict[str, float | None] = {"turns": self.recipe.play.max_cycles}
        sizes, notes = [], []
        for one in section.sets:
            number: float | None = None
            try:
                tasks = evaluation_tasks(one, self.data, self.recipe.seed)
                number = float(len(tasks) * (_SEATS if one.seats == "both" else 1))
                sizes += tasks
            except (ValueError, OSError) as error:
                notes.append(str(error))
            # One name may stand there twice, with other numbers or seats.
            key = f"{one.tasks.name}.dialogues"
            counts[key] = total([counts.get(key, 0.0), number])
        per_row = total(value for name, value in counts.items() if name.endswith(".dialogues"))
        counts["dialogues"] = dialogues = _times(per_row, 2.0)
        learner, clone = self._size("learner", sizes), self._size("clone", sizes)
        parts = [self._played(per_row, learner), self._played(per_row, clone)]
        computed = Computed(read=total(p.read for p in parts), written=total(p.written for p in parts), copies=1)
        judge = section.judge or self.recipe.judge
        asked = _asked("judge", judge, dialogues, learner)
        return self._counted("evaluation", counts, asked=asked, computed=computed, notes=notes)

    def _supervised(self, given: Supervised, rows: float | None) -> dict[str, float | None]:
        """Rows, steps and how often a row is used; the last batch of an epoch may not be full."""
        per_step = given.rows_per_step
        if given.max_steps > 0:
            steps: float | None = given.max_steps
        else:
            steps = None if rows is None else math.ceil(math.ceil(rows / per_step) * given.num_train_epochs)
        uses = _times(steps, per_step)
        return {
            "rows": rows,
            "steps": steps,
            "rows_per_step": per_step,
            "rows_per_device": given.per_device_train_batch_size,
            "epochs": uses / rows if given.max_steps > 0 and uses and rows else given.num_train_epochs,
            "row_uses": uses,
        }

    def _judging(self, dialogues: float | None, kind: str) -> tuple[Asked, ...]:
        return _asked("judge", self.recipe.judge, dialogues, self._size(kind))

    def _played(self, dialogues: float | None, size: DialogueSize | None) -> Computed:
        """What two local players compute, each token read once: what was said before stays in their caches."""
        return Computed(
            read=_times(dialogues, _times(_SEATS, _part(size, "row"))),
            written=_times(dialogues, _part(size, "written")),
        )

    @property
    def _attributor(self) -> str | None:
        return self.recipe.attributor or self.recipe.judge

    @cached_property
    def _published_experts(self) -> list[Episode] | None:
        try:
            return chosen_experts(
                any_episodes(str(self.recipe.experts.episodes), self.data), self.recipe.experts, self.data
            )
        except (ValueError, OSError):
            return None

    @cached_property
    def _expert_tasks(self) -> Expected:
        given = self.recipe.experts
        if given.tasks is not None:
            return expected_tasks(given.tasks, self.data, self.recipe.seed)
        found = self._published_experts
        if found is None:
            return Expected(None, None, note=f"{given.episodes} is not here, or holds no such episodes")
        return known_tasks([episode.task for episode in found])

    @property
    def _expert_note(self) -> str:
        return self._expert_tasks.note

    @property
    def _expert_dialogues(self) -> float | None:
        return _times(self._expert_tasks.number, self.recipe.experts.per_task)

    @property
    def _expert_scenarios(self) -> float | None:
        return self._expert_tasks.scenarios

    @property
    def _cloned_rows(self) -> float | None:
        """Sides of dialogues: the top ones of each scenario and seat, as many as there are."""
        expected, top = self._expert_tasks, self.recipe.filtering.top
        if expected.tasks:
            of_scenario = Counter(task.scenario.id for task in expected.tasks)
            return sum(_SEATS * min(top, n * self.recipe.experts.per_task) for n in of_scenario.values())
        if expected.number is None or not expected.scenarios:
            return None
        each = expected.number * self.recipe.experts.per_task / expected.scenarios
        return expected.scenarios * _SEATS * min(top, each)

    @property
    def _self_play_dialogues(self) -> float | None:
        given = self.recipe.self_play
        return None if given is None else _times(self._tasks("self_play").number, given.per_task)

    @property
    def _labelled_dialogues(self) -> float | None:
        return self._expert_dialogues if self.recipe.labels.episodes == "experts" else self._self_play_dialogues

    def _tasks(self, section: str) -> Expected:
        if section not in self._expected:
            self._expected[section] = expected_tasks(getattr(self.recipe, section).tasks, self.data, self.recipe.seed)
        return self._expected[section]

    @cached_property
    def _expected(self) -> dict[str, Expected]:
        return {}

    @cached_property
    def _any_tasks(self) -> Sequence[Task]:
        """Tasks whose prompts are looked at: those of the run, or whichever are there."""
        for section in (self._expert_tasks, self._tasks("grpo")):
            if section.tasks:
                return section.tasks
        for one in self.recipe.evaluation.sets:
            try:
                return evaluation_tasks(one, self.data, self.recipe.seed)
            except (ValueError, OSError):
                continue
        return ()

    def _size(self, kind: str, tasks: Sequence[Task] = ()) -> DialogueSize | None:
        looked_at = tasks or self._any_tasks
        if not looked_at:
            return None
        talk: Talk = getattr(self.recipe.estimates, kind)
        key = kind, bool(tasks)
        if key not in self._sizes:
            self._sizes[key] = dialogue_size(
                looked_at, talk, self.recipe.play.max_cycles, self.recipe.labels.levels, self.recipe.estimates
            )
        return self._sizes[key]

    @cached_property
    def _sizes(self) -> dict[tuple[str, bool], DialogueSize]:
        return {}


def _asked(
    role: Literal["policy", "judge", "attributor"], name: str | None, times: float | None, size: DialogueSize | None
) -> tuple[Asked, ...]:
    """Questions to a model behind a server; none where the name is of something else. Who is not named yet, is one.

    Args:
        role: who is asked: a policy for each turn of so many dialogues, the others once each time.
        name: of it.
        times: how often.
        size: of the dialogues.
    """
    prefix = "openai:" if role == "policy" else "llm:"
    if not (name or prefix).startswith(prefix):
        return ()
    if role == "policy":
        calls, read, written = _part(size, "turns"), _part(size, "read"), _part(size, "written")
    else:
        calls, read, written = 1.0, _part(size, f"{role}_read"), _part(size, f"{role}_written")
    return (Asked(role, _times(times, calls), _times(times, read), _times(times, written)),)


def _part(size: DialogueSize | None, name: str) -> float | None:
    return None if size is None else float(getattr(size, name))


def _times(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a * b
