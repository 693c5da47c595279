"""A recipe run: its stages one after the other, each from files to files, skipped where it is finished.

Every stage leaves a record of its settings and of digests of its inputs (``stages/NAME.json``). One that is finished
with the same is skipped, with others refused; one that was cut off goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from peft import LoraConfig
from rich.console import Console

from sotopia_env import rewards as R
from sotopia_env.agents.endpoint.call_log import CallLog
from sotopia_env.agents.loading import check_source
from sotopia_env.agents.local_lm import LocalLM
from sotopia_env.describe import differences, told
from sotopia_env.episodes import Episode
from sotopia_env.make import parallel_env
from sotopia_env.published.reading import any_episodes
from sotopia_env.resolve import make_policy
from sotopia_env.rewards.attribution.attributors import as_attributor
from sotopia_env.rewards.judges.base import Judge, as_judge
from sotopia_env.rewards.model_usage import failures_of
from sotopia_env.rewards.reward import weighted_sum
from sotopia_env.rollouts.manifest import fingerprint
from sotopia_env.rollouts.rollout import rollout
from sotopia_env.storage.episodes import some_episodes
from sotopia_env.storage.journal import replace_file
from sotopia_env.tasks import Task
from sotopia_env.training.behaviour_cloning import CloningConfig, clone
from sotopia_env.training.checkpoints import write_json
from sotopia_env.training.command_line import checked_settings
from sotopia_env.training.grpo import GRPOTrainer
from sotopia_env.training.grpo_config import GRPOConfig
from sotopia_env.training.recipes import files as F
from sotopia_env.training.recipes.experts import StoredScores, best, chosen_experts
from sotopia_env.training.recipes.results import evaluated
from sotopia_env.training.recipes.schema import Recipe, Scores, StageName, TasksFrom
from sotopia_env.training.recipes.tasks import evaluation_tasks, recipe_tasks
from sotopia_env.training.reward_modelling.config import RewardModelConfig
from sotopia_env.training.reward_modelling.train import train_reward_model

_MADE_BY: dict[str, StageName] = {
    F.EXPERTS: "experts",
    F.CHOSEN: "filtering",
    F.CLONE: "cloning",
    F.SELF_PLAY: "self-play",
    F.LABELS: "labels",
    F.REWARD_MODEL: "reward-model",
    F.LEARNER: "grpo",
}


class RecipeRun:
    """The stages of one recipe and the folder they share.

    Args:
        recipe: what to run.
        out: the folder.
        data: the folder of Sotopia's published files.
        results: what takes the tables; stdout by default.
    """

    def __init__(self, recipe: Recipe, out: Path, data: Path | None = None, results: Console | None = None) -> None:
        self.recipe, self.out, self.data = recipe, Path(out), data
        self.console = Console(stderr=True, highlight=False)
        self.results = results or Console(highlight=False)
        self._stages: dict[StageName, Callable[[], dict[str, Any]]] = {
            "experts": self._experts,
            "filtering": self._filtering,
            "cloning": self._cloning,
            "self-play": self._self_play,
            "labels": self._labels,
            "reward-model": self._reward_model,
            "grpo": self._grpo,
            "evaluation": self._evaluation,
        }

    def run(self, stages: Sequence[StageName] = ()) -> dict[str, dict[str, Any]]:
        """Run stages, or what is left of them.

        Args:
            stages: which; all by default.

        Returns:
            For each what its record says: ``run`` (settings and inputs), what it found, and ``seconds``.

        Raises:
            ValueError: something in the recipe cannot be run, an input is missing, or a stage was finished with other
                settings or inputs.
        """
        wanted = [stage for stage in self.recipe.stages if not stages or stage in stages]
        if absent := [stage for stage in stages if stage not in self.recipe.stages]:
            raise ValueError(
                f"--stage {absent[0]}: this recipe has no such stage; it has {', '.join(self.recipe.stages)}"
            )
        self._check(wanted)
        records: dict[str, dict[str, Any]] = {}
        for stage in wanted:
            self._check_inputs(stage)
            run = self._described(stage)
            record = self._finished(stage, run)
            if record is None:
                self.console.print(f"[bold]{stage}[/]")
                started = time.perf_counter()
                found = self._stages[stage]()
                record = {"run": run, **found, "seconds": time.perf_counter() - started}
                self.out.joinpath("stages").mkdir(parents=True, exist_ok=True)
                write_json(self._record(stage), record)
            else:
                self.console.print(f"[bold]{stage}[/]: finished")
            records[stage] = record
        return records

    # --- before anything starts -----------------------------------------------------------------------------------

    def _check(self, wanted: Sequence[StageName]) -> None:
        """Make what can be made of the recipe, so that what is wrong in it is told before hours are spent."""
        recipe = self.recipe
        if recipe.model is None:
            raise ValueError("model: the recipe names none; give --model, a directory or a hub id")
        asked = {
            "filtering": recipe.filtering.scores == "judge",
            "labels": recipe.labels.scores == "judge",
            "evaluation": recipe.evaluation.judge is None,
        }
        if recipe.judge is None and any(asked.get(stage) for stage in wanted):
            raise ValueError("judge: the recipe names none; give --judge, such as llm:MODEL@URL")
        for name in {recipe.judge, recipe.evaluation.judge} - {None}:
            as_judge(name)
        if recipe.attributor is not None:
            as_attributor(recipe.attributor)
        self.cloning_args, self.reward_model_args, self.grpo_args  # noqa: B018
        self._adapter("cloning"), self._adapter("reward_model")
        for stage, given in self._tasks_of.items():
            if stage in wanted:
                recipe_tasks(given, self.data, recipe.seed)
        if "evaluation" in wanted:
            for one in recipe.evaluation.sets:
                evaluation_tasks(one, self.data, recipe.seed)
        if "cloning" in wanted:
            # Last, since the hub may be asked for it.
            check_source(recipe.model)

    @cached_property
    def cloning_args(self) -> CloningConfig:
        """The settings of cloning, made."""
        return self._args(CloningConfig, "cloning", self.recipe.cloning.settings.given, F.CLONE)

    @cached_property
    def reward_model_args(self) -> RewardModelConfig:
        """The settings of reward modelling, made."""
        return self._args(RewardModelConfig, "reward_model", self.recipe.reward_model.settings.given, F.REWARD_MODEL)

    @cached_property
    def grpo_args(self) -> GRPOConfig:
        """The settings of GRPO, made."""
        return self._args(GRPOConfig, "grpo", self.recipe.grpo.described_settings, F.LEARNER)

    def _args(self, kind: type[Any], section: str, given: Mapping[str, Any], folder: str) -> Any:
        settings = [(f"{section}.settings.{name}", name, [value]) for name, value in given.items()]
        return checked_settings(kind, self.out / folder, settings, self.recipe.seed)

    def _adapter(self, section: str) -> LoraConfig | None:
        given = getattr(self.recipe, section).adapter
        if given is None:
            return None
        try:
            return LoraConfig(**{"task_type": "CAUSAL_LM", **given})
        except (TypeError, ValueError) as error:
            raise ValueError(f"{section}.adapter: {error}; PEFT's LoraConfig lists its fields") from error

    # --- records ------------------------------------------------------------------------------------------------

    def _record(self, stage: StageName) -> Path:
        return self.out / "stages" / f"{stage}.json"

    def _finished(self, stage: StageName, run: Mapping[str, Any]) -> dict[str, Any] | None:
        path = self._record(stage)
        if not path.exists():
            return None
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if other := differences(record["run"], run):
            made = ", ".join(F.WRITES[stage])
            raise ValueError(
                f"{stage}: {self.out} holds it with other {told(other)}; give another --out, or remove {path} and what "
                f"it made ({made}) to make it anew"
            )
        return record

    def _check_inputs(self, stage: StageName) -> None:
        """Refuse to start from what is missing, unfinished, or of a recipe that has changed since."""
        for name in self._inputs(stage):
            source = _MADE_BY[name]
            path = self._record(source)
            if not path.exists():
                raise ValueError(
                    f"{stage} reads {self.out / name}, and the stage {source} that makes it is not finished; run it "
                    f"first: --stage {source}"
                )
            before = json.loads(path.read_text(encoding="utf-8"))["run"]["settings"]
            if other := differences(before, self._settings(source)):
                raise ValueError(
                    f"{stage} reads {self.out / name}, which {source} made with other {told(other)}; give another "
                    f"--out, or what {source} was run with"
                )
            if not (self.out / name).exists() and not (name == F.EXPERTS and self.recipe.experts.episodes):
                raise ValueError(
                    f"{stage} reads {self.out / name}, which is gone; remove {path}, and {source} makes it"
                )

    def _inputs(self, stage: StageName) -> tuple[str, ...]:
        labelled = F.EXPERTS if self.recipe.labels.episodes == "experts" else F.SELF_PLAY
        model = (F.CLONE,) if self.recipe.reward_model.start == "clone" else ()
        found: dict[StageName, tuple[str, ...]] = {
            "experts": (),
            "filtering": (F.EXPERTS,),
            "cloning": (F.EXPERTS, F.CHOSEN),
            "self-play": (F.CLONE,),
            "labels": (labelled,),
            "reward-model": (F.LABELS, *model),
            "grpo": (F.CLONE, F.REWARD_MODEL),
            "evaluation": (F.CLONE, F.LEARNER),
        }
        return found[stage]

    def _settings(self, stage: StageName) -> dict[str, Any]:
        """What decides a stage, besides its inputs: neither where a server is nor how many calls are in flight."""
        recipe, play = self.recipe, self.recipe.play.model_dump(exclude={"batch_size"})
        model = None if recipe.model is None else _name(recipe.model)
        judge = {
            "judge": _without_address(recipe.judge),
            **recipe.calls.model_dump(include={"max_tokens", "enforce_schema"}),
        }
        attributor = _without_address(recipe.attributor) or judge["judge"]
        labels = recipe.labels
        parts: dict[StageName, dict[str, Any]] = {
            "experts": {**recipe.experts.model_dump(exclude={"episodes"}), "max_cycles": recipe.play.max_cycles},
            "filtering": {**recipe.filtering.model_dump(), **(judge if recipe.filtering.scores == "judge" else {})},
            "cloning": {**recipe.cloning.model_dump(), "model": model},
            "self-play": {**(recipe.self_play.model_dump() if recipe.self_play else {}), "play": play},
            "labels": {
                **labels.model_dump(),
                **(judge if labels.scores == "judge" else {}),
                **({"attributor": attributor} if labels.attributed else {}),
            },
            "reward-model": {**recipe.reward_model.model_dump(), "weights": labels.dimensions, "model": model},
            "grpo": {
                **recipe.grpo.model_dump(),
                "weights": labels.dimensions,
                "max_cycles": recipe.play.max_cycles,
                "model": model if recipe.grpo.reference == "base" else None,
            },
            "evaluation": {
                **recipe.evaluation.model_dump(),
                **judge,
                "judge": _without_address(recipe.evaluation.judge) or judge["judge"],
                "play": play,
            },
        }
        if stage == "experts" and recipe.experts.policy is not None:
            parts[stage]["policy"] = _without_address(recipe.experts.policy)
        found: dict[str, Any] = json.loads(json.dumps({**parts[stage], "seed": recipe.seed}))
        return found

    def _described(self, stage: StageName) -> dict[str, Any]:
        """What a stage is: its settings, and digests of what it reads."""
        inputs = {name: digest_of(self.out / name) for name in self._inputs(stage) if (self.out / name).exists()}
        if stage in self._tasks_of:
            inputs["tasks"] = fingerprint(recipe_tasks(self._tasks_of[stage], self.data, self.recipe.seed))
        if stage == "evaluation":
            sets = [evaluation_tasks(one, self.data, self.recipe.seed) for one in self.recipe.evaluation.sets]
            inputs["tasks"] = fingerprint(task for tasks in sets for task in tasks)
        if stage in ("experts", "filtering", "cloning", "labels") and self.recipe.experts.episodes is not None:
            source = Path(self.recipe.experts.episodes).expanduser()
            inputs["episodes"] = digest_of(source) if source.is_file() else self.recipe.experts.episodes
        return {"settings": self._settings(stage), "inputs": inputs}

    @property
    def _tasks_of(self) -> dict[StageName, TasksFrom]:
        recipe = self.recipe
        given: dict[StageName, TasksFrom | None] = {
            "experts": recipe.experts.tasks,
            "self-play": None if recipe.self_play is None else recipe.self_play.tasks,
            "grpo": recipe.grpo.tasks,
        }
        return {stage: tasks for stage, tasks in given.items() if tasks is not None}

    # --- the stages ---------------------------------------------------------------------------------------------

    def _experts(self) -> dict[str, Any]:
        given = self.recipe.experts
        if given.policy is None:
            return {"episodes": len(self._expert_episodes())}
        options = {"ledger": self._ledger} if given.policy.startswith("openai:") else {}
        return self._play("experts", make_policy(given.policy, **options), given.per_task, F.EXPERTS)

    def _expert_episodes(self) -> list[Episode]:
        given = self.recipe.experts
        if given.episodes is None:
            return some_episodes(self.out / F.EXPERTS)
        return chosen_experts(any_episodes(given.episodes, self.data), given, self.data)

    def _filtering(self) -> dict[str, Any]:
        episodes, judge = self._expert_episodes(), self._judge(self.recipe.filtering.scores)
        chosen, unknown = best(episodes, judge, self.recipe.filtering.top)
        if not chosen:
            raise ValueError(
                f"filtering: the judge {judge.name!r} knows the goal of none of {len(episodes)} dialogues; take "
                "another judge (--judge llm:MODEL@URL)"
            )
        found = {"judge": judge.name, "dialogues": len(episodes), "unknown_goals": unknown}
        rows = [asdict(choice) for choice in chosen]
        path = self.out / F.CHOSEN
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, [json.dumps({**found, "chosen": rows}, indent=1).encode(), b"\n"])
        return {**found, "chosen": len(rows)}

    def _cloning(self) -> dict[str, Any]:
        record = json.loads((self.out / F.CHOSEN).read_text(encoding="utf-8"))
        agents: dict[str, list[str]] = {}
        for choice in record["chosen"]:
            agents.setdefault(choice["episode"], []).append(choice["agent"])
        episodes = [episode for episode in self._expert_episodes() if episode.key in agents]
        clone(
            episodes,
            self.recipe.model,
            out=self.out / F.CLONE,
            args=self.cloning_args,
            agents=lambda episode: agents[episode.key],
            peft_config=self._adapter("cloning"),
        )
        return {"episodes": len(episodes), "rows": len(record["chosen"])}

    def _self_play(self) -> dict[str, Any]:
        assert self.recipe.self_play is not None
        return self._play("self-play", self._policy(F.CLONE), self.recipe.self_play.per_task, F.SELF_PLAY)

    def _labels(self) -> dict[str, Any]:
        experts = self.recipe.labels.episodes == "experts"
        episodes = self._expert_episodes() if experts else some_episodes(self.out / F.SELF_PLAY)
        reward = self._label_reward()
        (self.out / F.LABELS).parent.mkdir(parents=True, exist_ok=True)
        # Asked in few calls at a time, so that little is asked again after a kill; what came stands in the cache.
        labelled = R.relabel(
            episodes, reward, out=self.out / F.LABELS, batch_size=self.recipe.play.batch_size, progress=True
        )
        numbers = [
            value
            for name in map(_label, self.recipe.labels.dimensions)
            for episode in labelled
            for values in episode.rewards[name].values()
            for value in values
        ]
        failed = dict(failures_of(reward))
        return {"episodes": len(labelled), "labels": len(numbers), "unknown": numbers.count(None), "failures": failed}

    def _label_reward(self) -> R.Reward:
        given, judge = self.recipe.labels, self._judge(self.recipe.labels.scores)
        if not given.attributed:
            parts: list[R.Reward] = [
                R.Outcome(given.design, {d: 1.0}, judge, scale=given.scale, name=_label(d)) for d in given.dimensions
            ]
        else:
            attributor = as_attributor(self._asked("attributor", self._attributor, levels=given.levels))
            parts = [
                R.Attribution(
                    given.design, attributor, dimensions={d: 1.0}, judge=judge, scale=given.scale, name=_label(d)
                )
                for d in given.dimensions
            ]
        return weighted_sum([(1.0 / len(parts), part) for part in parts])

    def _reward_model(self) -> dict[str, Any]:
        given, dimensions = self.recipe.reward_model, self.recipe.labels.dimensions
        episodes = some_episodes(self.out / F.LABELS)
        train_reward_model(
            episodes,
            str(self.out / F.CLONE) if given.start == "clone" else self.recipe.model,
            labels={d: R.FunctionReward(partial(_stored, _label(d)), name=_label(d)) for d in dimensions},
            weights=dimensions,
            out=self.out / F.REWARD_MODEL,
            args=self.reward_model_args,
            peft_config=self._adapter("reward_model"),
        )
        return {"episodes": len(episodes)}

    def _grpo(self) -> dict[str, Any]:
        given = self.recipe.grpo
        reward: R.Reward = R.RewardModel(str(self.out / F.REWARD_MODEL), self.recipe.labels.dimensions)
        if given.added_reward is not None:
            reward = reward + R.get_reward(given.added_reward)
        tasks = self._tasks("grpo")
        trainer = GRPOTrainer(
            str(self.out / F.CLONE),
            env=parallel_env(tasks, reward=reward, max_cycles=self.recipe.play.max_cycles),
            partner=str(self.out / F.CLONE),
            reference=self.recipe.model if given.reference == "base" else None,
            args=self.grpo_args,
        )
        trainer.train()
        return {"tasks": len(tasks), "steps": int(trainer.state.global_step)}

    def _evaluation(self) -> dict[str, Any]:
        given = self.recipe.evaluation
        clone_policy = self._policy(F.CLONE)
        partner = clone_policy if given.partner == "clone" else make_policy(given.partner)
        judge = self._judge("judge", given.judge)
        return evaluated(
            {"clone": clone_policy, "learner": self._policy(F.LEARNER)},
            partner,
            judge,
            [(one, evaluation_tasks(one, self.data, self.recipe.seed)) for one in given.sets],
            out=self.out / F.EVALUATION,
            console=self.results,
            seed=self.recipe.seed,
            batch_size=self.recipe.play.batch_size,
            max_cycles=self.recipe.play.max_cycles,
            allow_train=given.allow_train,
        )

    # --- what stages share --------------------------------------------------------------------------------------

    def _play(self, stage: StageName, policy: Any, per_task: int, out: str) -> dict[str, Any]:
        """Play a policy with itself on the tasks of a stage."""
        tasks = self._tasks(stage)
        (self.out / out).parent.mkdir(parents=True, exist_ok=True)
        episodes = rollout(
            tasks,
            policy,
            num_episodes=len(tasks) * per_task,
            seed=self.recipe.seed,
            out=self.out / out,
            batch_size=self.recipe.play.batch_size,
            max_cycles=self.recipe.play.max_cycles,
            progress=True,
        )
        invalid = sum(turn.invalid is not None for episode in episodes for turn in episode.turns)
        return {"episodes": len(episodes), "turns": sum(len(e.turns) for e in episodes), "invalid_turns": invalid}

    def _tasks(self, stage: StageName) -> list[Task]:
        return recipe_tasks(self._tasks_of[stage], self.data, self.recipe.seed)

    def _policy(self, folder: str) -> LocalLM:
        play = self.recipe.play
        given = {"temperature": play.temperature, "max_new_tokens": play.max_new_tokens, **play.options}
        return LocalLM(self.out / folder, name=folder, **given)

    @property
    def _attributor(self) -> str:
        given = self.recipe.attributor or self.recipe.judge or "rule"
        return given if self.recipe.attributor or given.startswith("llm:") else "rule"

    def _judge(self, scores: Scores, given: str | None = None) -> Judge:
        if scores == "stored":
            return StoredScores()
        name = given or self.recipe.judge
        assert name is not None
        return as_judge(self._asked("judge", name))

    def _asked(self, slot: str, name: str, **more: Any) -> Any:
        """A judge or attributor by its name; a model's with its options."""
        if not name.startswith("llm:"):
            return name
        calls = self.recipe.calls.model_dump()
        return {slot: name, "cache": str(self.out / F.REPLIES), "ledger": self._ledger, **calls, **more}

    @cached_property
    def _ledger(self) -> CallLog:
        self.out.mkdir(parents=True, exist_ok=True)
        return CallLog(self.out / F.CALLS)


def digest_of(path: Path) -> str:
    """A short hash of a file, or of the weights in a folder of a model."""
    found = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(path.glob("*.safetensors")):
        with file.open("rb") as opened:
            found.update(hashlib.file_digest(opened, "sha256").digest())
    return found.hexdigest()[:16]


def _label(dimension: str) -> str:
    """What the labels of a dimension are called in stored episodes."""
    return f"label:{dimension}"


def _stored(name: str, episodes: Sequence[Episode]) -> list[Mapping[str, Sequence[float | None]]]:
    return [episode.rewards[name] for episode in episodes]


def _name(model: str) -> str:
    path = Path(model).expanduser()
    return path.resolve().name if path.is_dir() else model


def _without_address(name: str | None) -> str | None:
    """``llm:MODEL`` of ``llm:MODEL@URL``: a server that has moved is the same."""
    return None if name is None else name.split("@http", 1)[0]
