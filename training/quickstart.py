"""The whole loop in one call: experts, cloning, labels, reward model, GRPO in the environment, evaluation, report.

Every stage reads and writes plain files in one folder, is skipped where it is finished, and goes on where it was cut
off. The folder remembers the settings it was made with, and refuses others.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from sotopia_env import rewards as R
from sotopia_env.agents.embedded import build_embedded_model
from sotopia_env.agents.loading import LoadedModel, load_model
from sotopia_env.agents.local_lm import LocalLM
from sotopia_env.agents.traits import CLONED
from sotopia_env.episodes import Episode
from sotopia_env.families.bargain import Bargain
from sotopia_env.make import parallel_env
from sotopia_env.published import load_tasks
from sotopia_env.rollouts import rollout
from sotopia_env.storage import load_episodes
from sotopia_env.tasks import Task
from sotopia_env.training.behaviour_cloning import CloningConfig, clone
from sotopia_env.training.callbacks import read_metrics
from sotopia_env.training.checkpoints import write_json
from sotopia_env.training.comparison import against_partners, difference, table
from sotopia_env.training.corpus import corpus
from sotopia_env.training.evaluation import Evaluation, Match, draw_tasks, evaluate, sharpened
from sotopia_env.training.grpo import GRPOTrainer
from sotopia_env.training.grpo_config import GRPOConfig
from sotopia_env.training.quickstart_settings import PRESETS, Settings
from sotopia_env.training.report import checks, write_report
from sotopia_env.training.reward_labels import labels_of
from sotopia_env.training.reward_model_config import RewardModelConfig
from sotopia_env.training.reward_modelling import REPORT, train_reward_model

TEACHER = "scripted:mixed"
ERRATIC = "erratic"
FAMILY = "bargain"

SIDE_BY_SIDE = 256
"""So many dialogues are played in lockstep: few rows are left when the last turns of 64 are written."""

WORTH_A_PROCESS = 500
"""A further process takes some seconds to begin: fewer dialogues are sooner played without it."""

LEARNING_ZONES = {"wide": 0.65, "narrow": 0.35}
"""Where no price suits both the goal is unknown, and a group of such dialogues teaches nothing."""


def quickstart(
    out: str | Path = "runs/quickstart",
    *,
    seed: int = 0,
    settings: Settings | None = None,
    sotopia_data: str | Path | None = None,
    processes: int = 1,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Run the loop, or what is left of it.

    Args:
        out: the folder of the run; the same call goes on where it was cut off.
        seed: of everything.
        settings: how large the run is; :data:`PRESETS` has two.
        sotopia_data: a folder of Sotopia's published files: the craigslist tasks are evaluated on too.
        processes: how many play the dialogues that are learnt from; with more than one, the call has to stand behind
            ``if __name__ == "__main__":``.
        command: the command line, for the report.

    Returns:
        The data of the report.

    Raises:
        ValueError: ``out`` holds a run with another seed or other settings.
    """
    settings = settings or PRESETS["default"]
    published = None if sotopia_data is None else load_tasks(sotopia_data, "craigslist")
    run = Run(Path(out), seed, settings, processes)
    run.experts()
    run.clone()
    run.model_reward()
    run.learn()
    data = run.evaluate()
    if published is not None:
        data["real_input"] = run.evaluate_published(published)
    data["command"] = shlex.join(command) if command else ""
    return run.report(data)


class Run:
    """The stages of one run and the folder they share."""

    def __init__(self, folder: Path, seed: int, settings: Settings, processes: int = 1) -> None:
        """Make the folder, or find it with the same settings."""
        self.folder, self.seed, self.settings, self.processes = folder, seed, settings, processes
        self.console = Console(stderr=True)
        folder.mkdir(parents=True, exist_ok=True)
        self._claim()

    def experts(self) -> list[Episode]:
        """Scripted dialogues, the traits of the two sides drawn independently, and some with an erratic partner."""
        each = self.settings.erratic_episodes // 2
        kinds: tuple[tuple[list[str], int], ...] = (
            ([TEACHER], self.settings.expert_episodes),
            ([TEACHER, ERRATIC], each),
            ([ERRATIC, TEACHER], each),
        )
        with self._stage("experts"):
            return [
                episode
                for part, (path, (policies, number)) in enumerate(zip(self._expert_files(), kinds, strict=True))
                if number
                for episode in rollout(
                    Bargain(zones=self.settings.expert_zones),
                    policies,
                    num_episodes=number,
                    # Other tasks in each part.
                    seed=len(kinds) * self.seed + part,
                    out=path,
                    processes=self._processes(number),
                    progress=True,
                )
            ]

    def clone(self) -> None:
        """Behaviour cloning of the embedded model."""
        with self._stage("cloning"):
            if (self.folder / "clone" / "complete.json").exists():
                return
            episodes = self.experts_played()
            model, tokenizer = build_embedded_model(corpus(episodes), self.seed)
            clone(
                episodes,
                LoadedModel(model, tokenizer, "embedded"),
                out=self.folder / "clone",
                agents=_teachers,
                args=CloningConfig(
                    output_dir=str(self.folder / "clone"),
                    num_train_epochs=self.settings.cloning_epochs,
                    per_device_train_batch_size=self.settings.cloning_batch,
                    learning_rate=self.settings.cloning_rate,
                    muon=True,
                    save_steps=200,
                    seed=self.seed,
                ),
            )

    def model_reward(self) -> None:
        """A reward model of labelled dialogues, where the variant has one."""
        if self.settings.variant == "outcome":
            return
        with self._stage("labels"):
            episodes = self.to_be_labelled()
        with self._stage("reward model"):
            settings = self.settings
            design = settings.label_design if settings.target == "labels" else "broadcast"
            train_reward_model(
                episodes,
                str(self.folder / "clone"),
                labels=labels_of(design, tuple(settings.label_weights)),
                weights=settings.label_weights,
                target=settings.target,
                out=self.folder / "reward-model",
                args=RewardModelConfig(
                    output_dir=str(self.folder / "reward-model"),
                    num_train_epochs=settings.model_epochs,
                    learning_rate=settings.model_rate,
                    # The experts' dialogues are of a task each.
                    between=1.0 if settings.variant == "paper" else settings.label_between,
                    muon=True,
                    seed=self.seed,
                ),
            )

    def to_be_labelled(self) -> list[Episode]:
        """Dialogues of experts, or of the clone with itself, on tasks that the learner will not meet."""
        number = self.settings.label_episodes
        if self.settings.variant == "paper":
            return load_episodes(self._expert_files()[0])[:number]
        family, generator = Bargain(zones=LEARNING_ZONES), np.random.default_rng(self.seed)
        return rollout(
            [family.generate(generator, "train") for _ in range(number // self.settings.label_group)],
            # All that it might say, as the learner explores, and more of what is rare.
            self._sampling(self.folder / "clone", "clone", self.settings.label_temperature, top_p=1.0),
            num_episodes=number,
            seed=self.seed,
            batch_size=SIDE_BY_SIDE,
            processes=self._processes(number),
            out=self.folder / "clone-dialogues.jsonl",
            progress=True,
        )

    def reward(self) -> R.Reward:
        """What the learner is paid by ``step``."""
        if self.settings.variant == "outcome":
            return R.Outcome()
        words, invalid = self.settings.length_weight, self.settings.format_weight
        model: R.Reward = R.RewardModel(str(self.folder / "reward-model"), self.settings.label_weights)
        return (
            model
            + R.LengthPenalty(target_words=self.settings.target_words, weight=words)
            + R.FormatPenalty(weight=invalid)
        )

    def learn(self) -> None:
        """GRPO in the environment against the frozen clone."""
        with self._stage("grpo"):
            if (self.folder / "learner" / "complete.json").exists():
                return
            trainer = GRPOTrainer(
                str(self.folder / "clone"),
                env=parallel_env(Bargain(zones=LEARNING_ZONES), reward=self.reward()),
                partner=self._policy("clone"),
                args=GRPOConfig(
                    output_dir=str(self.folder / "learner"),
                    max_steps=self.settings.grpo_steps,
                    per_device_train_batch_size=self.settings.dialogues,
                    num_generations=self.settings.group,
                    learning_rate=self.settings.grpo_rate,
                    beta=self.settings.beta,
                    max_turn_tokens=self.settings.max_turn_tokens,
                    seed=self.seed,
                ),
            )
            trainer.train()

    def evaluate(self) -> dict[str, Any]:
        """Teacher, clone and learner on held-out tasks, and against scripted partners."""
        with self._stage("evaluation"):
            tasks = draw_tasks(f"{FAMILY}:test", self.settings.tasks, self.seed)
            clone_policy, learner = self._policy("clone"), self._policy("learner")
            baseline = self._row(Match("clone", clone_policy, clone_policy), tasks)
            learned = self._row(Match("learner", learner, clone_policy), tasks)
            teacher = self._row(Match("teacher", TEACHER, TEACHER), tasks)
            sharp = [
                self._row(match, tasks)
                for match in sharpened(
                    lambda value: self._policy("clone", value), clone_policy, self.settings.temperatures
                )
            ]
            few = draw_tasks(f"{FAMILY}:test", self.settings.partner_tasks, self.seed + 1)
            met = {
                name: [
                    self._row(Match(f"{name} against {partner}", policy, f"scripted:{partner}"), few)
                    for partner in self.settings.partners
                ]
                for name, policy in (("learner", learner), ("clone", clone_policy))
            }
        self._print(table([row.summary for row in (teacher, baseline, learned, *sharp)], "bargain:test"))
        return {
            "evaluation": {
                "teacher": teacher.summary,
                "baseline": baseline.summary,
                "learner": learned.summary,
                "difference": difference(learned, baseline),
            },
            "sharpening": [{**row.summary, "difference": difference(learned, row)} for row in sharp],
            "partners": against_partners(met["learner"], met["clone"], seen=[f"scripted:{name}" for name in CLONED]),
            "dialogues": learned.sample(3, self.seed),
        }

    def evaluate_published(self, tasks: Sequence[Task]) -> dict[str, Any]:
        """The same policies on the published craigslist pairings, both seats."""
        with self._stage("published tasks"):
            clone_policy = self._policy("clone")
            rows = [
                self._row(Match(f"{name} on craigslist", policy, partner), tasks)
                for name, policy, partner in (
                    ("teacher", TEACHER, TEACHER),
                    ("clone", clone_policy, clone_policy),
                    ("learner", self._policy("learner"), clone_policy),
                )
            ]
        self._print(table([row.summary for row in rows], "published craigslist tasks"))
        names = ("teacher", "baseline", "learner")
        return {
            **{name: row.summary for name, row in zip(names, rows, strict=True)},
            "difference": difference(rows[2], rows[1]),
        }

    def report(self, data: dict[str, Any]) -> dict[str, Any]:
        """Write ``report.json`` and ``report.html``, and say what was met."""
        dialogues = data.pop("dialogues")
        data |= {
            "seed": self.seed,
            "configuration": asdict(self.settings),
            "seconds": self._seconds(),
            "curves": {
                "cloning": read_metrics(self.folder / "clone" / "metrics.jsonl"),
                "reward_model": read_metrics(self.folder / "reward-model" / "metrics.jsonl"),
                "grpo": read_metrics(self.folder / "learner" / "metrics.jsonl"),
            },
        }
        if self.settings.variant != "outcome":
            path = self.folder / "reward-model" / REPORT
            data["reward_model"] = json.loads(path.read_text(encoding="utf-8"))
        page = write_report(self.folder, data, dialogues)
        for check in checks(data):
            mark = {True: "[green]met[/]", False: "[red]missed[/]", None: "unknown"}[check["met"]]
            self.console.print(f"{mark}: {check['name']}: {check['value']}")
        self.console.print(f"{sum(self._seconds().values()):.0f} seconds in all; the report is {page}")
        return data

    def experts_played(self) -> list[Episode]:
        """The expert episodes on disk."""
        return [episode for path in self._expert_files() if path.exists() for episode in load_episodes(path)]

    def _expert_files(self) -> list[Path]:
        names = ("experts", "experts-with-erratic", "experts-against-erratic")
        return [self.folder / f"{name}.jsonl" for name in names]

    def _policy(self, name: str, temperature: float = 1.0) -> LocalLM:
        if name not in self._loaded:
            self._loaded[name] = load_model(self.folder / name)
        label = name if temperature == 1.0 else f"{name}, temperature {temperature:g}"
        return self._sampling(self._loaded[name], label, temperature)

    def _sampling(
        self, model: LoadedModel | Path, label: str, temperature: float = 1.0, top_p: float | None = None
    ) -> LocalLM:
        return LocalLM(
            model,
            name=label,
            temperature=temperature,
            top_p=self.settings.top_p if top_p is None else top_p,
            max_new_tokens=self.settings.max_turn_tokens,
        )

    def _processes(self, num_dialogues: int) -> int:
        return max(1, min(self.processes, num_dialogues // WORTH_A_PROCESS))

    def _row(self, match: Match, tasks: Sequence[Task]) -> Evaluation:
        path = self.folder / "evaluation" / f"{match.name.replace(' ', '-').replace(',', '')}.jsonl"
        return evaluate(
            match.policy,
            match.partner,
            tasks,
            name=match.name,
            seed=self.seed,
            batch_size=SIDE_BY_SIDE,
            out=path,
            progress=True,
        )

    def _print(self, text: str) -> None:
        # Tables are as wide as they are; a console would fold them.
        print(text, file=sys.stderr)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        self.console.print(f"[bold]{name}[/]")
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = self._seconds()
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started
            write_json(self.folder / "seconds.json", seconds)

    def _seconds(self) -> dict[str, float]:
        path = self.folder / "seconds.json"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}

    def _claim(self) -> None:
        self._loaded: dict[str, LoadedModel] = {}
        path = self.folder / "run.json"
        mine = json.loads(json.dumps({"seed": self.seed, "settings": asdict(self.settings)}))
        if not path.exists():
            write_json(path, mine)
            return
        found = json.loads(path.read_text(encoding="utf-8"))
        if found != mine:
            raise ValueError(
                f"{self.folder} holds a run with other settings or another seed (see {path}); "
                "give another --out, or remove the folder"
            )


def _teachers(episode: Episode) -> list[str]:
    """The seats of an episode whose words are cloned."""
    return [agent for agent in episode.agents if episode.policies[agent] == TEACHER]
