"""The whole loop in one call: experts, cloning, labels, reward model, GRPO in the environment, evaluation, report.

Every stage reads and writes plain files in one folder, is skipped where it is finished, and goes on where it was cut
off. The folder remembers the settings it was made with, and refuses others.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape

from sotopia_env import rewards as R
from sotopia_env.agents.embedded import build_embedded_model
from sotopia_env.agents.loading import LoadedModel, load_model
from sotopia_env.agents.local_lm import LocalLM
from sotopia_env.agents.scripted.traits import CLONED
from sotopia_env.describe import differences, told
from sotopia_env.episodes import Episode
from sotopia_env.families import family_of_all
from sotopia_env.families.bargain import Bargain
from sotopia_env.families.formal import all_with_agreement
from sotopia_env.make import parallel_env
from sotopia_env.published import load_tasks
from sotopia_env.rollouts.rollout import rollout
from sotopia_env.storage.episodes import load_episodes
from sotopia_env.tables import show
from sotopia_env.tasks import Task
from sotopia_env.training.batches import corpus
from sotopia_env.training.behaviour_cloning import CloningConfig, clone
from sotopia_env.training.callbacks import read_metrics
from sotopia_env.training.checkpoints import COMPLETE, write_json
from sotopia_env.training.comparison import against_partners, difference, pooled, table
from sotopia_env.training.data_parallel import launch, wait_for_everyone, world
from sotopia_env.training.evaluation import Evaluation, Match, draw_tasks, evaluate, sharpened
from sotopia_env.training.grpo import GRPOTrainer
from sotopia_env.training.grpo_config import GRPOConfig
from sotopia_env.training.quickstart_settings import PRESETS, Settings
from sotopia_env.training.report import checks, write_report
from sotopia_env.training.reward_modelling.config import RewardModelConfig
from sotopia_env.training.reward_modelling.labels import labels_of
from sotopia_env.training.reward_modelling.train import REPORT, train_reward_model

TEACHER = "scripted:mixed"
ERRATIC = "erratic"
FAMILY = "bargain"

TOO_SHORT = (
    "This run was too short to learn: it shows that every stage works. What was not met says nothing of the method; "
    "leave out --preset small for that."
)

SIDE_BY_SIDE = 256
"""So many dialogues are played in lockstep: few rows are left when the last turns of 64 are written."""

LEARNING_BANK = "training"
"""What is labelled and learnt is judged by other words than what is evaluated."""


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
        processes: how many share the work, each on its share of the cores; no more than divide every batch. With
            more than one, the call has to stand behind ``if __name__ == "__main__":``. Where there is a GPU it does
            all the work in one.
        command: the command line, for the report.

    Returns:
        The data of the report.

    Raises:
        ValueError: ``out`` holds a run with another seed or other settings.
    """
    settings = settings or PRESETS["default"]
    published = None if sotopia_data is None else load_tasks(sotopia_data, "craigslist")
    folder = Path(out)
    # The folder of another run is refused before any process begins.
    Run(folder, seed, settings)
    processes = 1 if torch.cuda.is_available() else settings.usable_processes(processes)
    arguments = (folder, seed, settings, published, shlex.join(command) if command else "", time.time())
    return dict(_stages(*arguments) if processes == 1 else launch(processes, _stages, *arguments))


def _stages(
    folder: Path, seed: int, settings: Settings, published: Sequence[Task] | None, command: str, began: float
) -> dict[str, Any]:
    """The whole run, in one process, or in each of several."""
    run = Run(folder, seed, settings)
    run.add_seconds("start", time.time() - began)
    run.clone(run.experts())
    run.model_reward()
    run.learn()
    data = run.evaluate()
    if published is not None:
        data["real_input"] = run.evaluate_published(published)
    data["command"] = command
    return run.report(data) if run.is_first else {}


class Run:
    """The stages of one run and the folder they share.

    Processes of one world (:mod:`sotopia_env.training.data_parallel`) go through them side by side: each plays its
    share of the dialogues and learns from its share of every batch, and the first one talks.
    """

    def __init__(self, folder: Path, seed: int, settings: Settings) -> None:
        """Make the folder, or find it with the same settings."""
        self.folder, self.seed, self.settings = folder, seed, settings
        self.rank, self.processes = world()
        self.is_first = self.rank == 0
        self.console = Console(stderr=True, quiet=not self.is_first)
        folder.mkdir(parents=True, exist_ok=True)
        self._check_settings()

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
                    self._learning_family(zones=self.settings.expert_zones),
                    policies,
                    num_episodes=number,
                    # Other tasks in each part.
                    seed=len(kinds) * self.seed + part,
                    out=path,
                    progress=self.is_first,
                )
            ]

    def clone(self, episodes: Sequence[Episode] | None = None) -> None:
        """Behaviour cloning of the embedded model.

        Args:
            episodes: what :meth:`experts` gave; read again by default.
        """
        with self._stage("cloning"):
            if self._finished("clone"):
                return
            episodes = episodes or self.experts_played()
            model, tokenizer = build_embedded_model(corpus(episodes), self.seed)
            clone(
                episodes,
                LoadedModel(model, tokenizer, "embedded"),
                out=self.folder / "clone",
                agents=_teachers,
                args=CloningConfig(
                    output_dir=str(self.folder / "clone"),
                    num_train_epochs=self.settings.cloning_epochs,
                    ddp_find_unused_parameters=False,
                    per_device_train_batch_size=self.settings.cloning_batch // self.processes,
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
            if self._finished("reward-model"):
                return
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
                    ddp_find_unused_parameters=False,
                    per_device_train_batch_size=settings.model_batch // self.processes,
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
        family, generator = self._learning_family(), np.random.default_rng(self.seed)
        return rollout(
            [family.generate(generator, "train") for _ in range(number // self.settings.label_group)],
            # All that it might say, as the learner explores, and more of what is rare.
            self._sampling(self.folder / "clone", "clone", self.settings.label_temperature, top_p=1.0),
            num_episodes=number,
            seed=self.seed,
            batch_size=SIDE_BY_SIDE,
            out=self.folder / "clone-dialogues.jsonl",
            progress=self.is_first,
        )

    def reward(self) -> R.Reward:
        """What the learner is paid by ``step``."""
        if self.settings.variant == "outcome":
            return R.Outcome(judge=self.settings.judge)
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
            if self._finished("learner"):
                return
            learning = self.settings.grpo
            trainer = GRPOTrainer(
                str(self.folder / "clone"),
                env=parallel_env(self._learning_family(), reward=self.reward()),
                partner=self._policy("clone"),
                args=GRPOConfig(
                    output_dir=str(self.folder / "learner"),
                    max_steps=learning.steps,
                    ddp_find_unused_parameters=False,
                    per_device_train_batch_size=self.settings.dialogues // self.processes,
                    num_generations=self.settings.group,
                    learning_rate=learning.rate,
                    lr_scheduler_type=learning.schedule,
                    beta=learning.beta,
                    max_turn_tokens=self.settings.max_turn_tokens,
                    seed=self.seed,
                ),
            )
            trainer.train()

    def evaluate(self) -> dict[str, Any]:
        """Teacher, clone and learner on held-out tasks, and against scripted partners; nothing but in the first."""
        clone_policy, learner = self._policy("clone"), self._policy("learner")
        split = self.settings.split
        tasks = draw_tasks(self._world(split), self.settings.tasks, self.seed)
        splits = [split, "transfer"] if split == "test" else [split]
        few = {name: draw_tasks(self._world(name), self.settings.partner_tasks, self.seed + 1) for name in splits}
        matches = [
            Match("clone", clone_policy, clone_policy),
            Match("learner", learner, clone_policy),
            *sharpened(lambda value: self._policy("clone", value), clone_policy, self.settings.temperatures),
            *self._other_nuclei(clone_policy),
            Match("teacher", TEACHER, TEACHER),
        ]
        players = {"teacher": TEACHER, "baseline": clone_policy, "learner": learner}
        met = {
            (name, partner, where): Match(f"{name} against {partner}, {where}", players[name], f"scripted:{partner}")
            for where in splits
            for partner in (*self.settings.unseen, *(self.settings.partners if where == split else ()))
            for name in (players if partner in self.settings.unseen else ("learner", "baseline"))
        }
        with self._stage("evaluation"):
            planned = [(match, few[where]) for (_, _, where), match in met.items()]
            rows = self._rows([*((match, tasks) for match in matches), *planned])
        if not self.is_first:
            return {}
        baseline, learned, *sharp, teacher = rows[: len(matches)]
        against = dict(zip(met, rows[len(matches) :], strict=True))

        def row(name: str, partners: Sequence[str], where: str) -> list[Evaluation]:
            return [against[name, partner, where] for partner in partners]

        headline = {where: _headline({n: row(n, self.settings.unseen, where) for n in players}) for where in splits}
        for where, found in headline.items():
            show(table([found[name] for name in players], self._world(where)), console=self.console)
        summaries = [row.summary for row in (teacher, baseline, learned, *sharp)]
        show(table(summaries, f"{self._world(split)}, against the clone"), console=self.console)
        everyone = (*self.settings.unseen, *self.settings.partners)
        return {
            "headline": headline,
            "evaluation": {
                "teacher": teacher.summary,
                "baseline": baseline.summary,
                "learner": learned.summary,
                "difference": difference(learned, baseline),
            },
            "sharpening": [{**row.summary, "difference": difference(learned, row)} for row in sharp],
            "partners": against_partners(
                row("learner", everyone, split),
                row("baseline", everyone, split),
                seen=[f"scripted:{name}" for name in CLONED],
            ),
            "dialogues": learned.sample(3, self.seed),
        }

    def evaluate_published(self, tasks: Sequence[Task]) -> dict[str, Any]:
        """The same policies on the published craigslist pairings, both seats; nothing but in the first process."""
        tasks = all_with_agreement(tasks, self.settings.agreement, family_of_all(tasks))
        clone_policy = self._policy("clone")
        matches = [
            Match("teacher on craigslist", TEACHER, TEACHER),
            Match("clone on craigslist", clone_policy, clone_policy),
            Match("learner on craigslist", self._policy("learner"), clone_policy),
        ]
        with self._stage("published tasks"):
            rows = self._rows([(match, tasks) for match in matches])
        if not self.is_first:
            return {}
        caption = f"published craigslist tasks, {self.settings.agreement} agreements"
        show(table([row.summary for row in rows], caption), console=self.console)
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
            "processes": self.processes,
            "agreement": self.settings.agreement,
            "trained": self._trained(),
            "too_short": self.settings.too_short,
            "configuration": self.settings.described(),
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
            colour = {True: "green", False: "red", None: "default"}[check.met]
            self.console.print(f"[{colour}]{check.verdict}[/]: {escape(check.name)}: {escape(str(check.found))}")
        if self.settings.too_short:
            self.console.print(TOO_SHORT)
        self.console.print(f"{sum(self._seconds().values()):.0f} seconds in all; the report is {page}")
        return data

    def _trained(self) -> str:
        """What was trained on what, in words."""
        self._policy("clone")
        size = sum(parameter.numel() for parameter in self._loaded["clone"].model.parameters())
        made = {name: self.folder / name / COMPLETE for name in ("clone", "reward-model", "learner")}
        done = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in made.items() if path.exists()}
        said = (
            f"A language model of {size:,} parameters was made anew and cloned from {done['clone']['rows']:,} scripted "
            f"speakers ({done['clone']['own_tokens']:,} tokens of their own, {done['clone']['steps']:,} steps), in "
            f"dialogues with {self.settings.agreement} agreements."
        )
        payer = "The goal of the episode"
        if self.settings.variant != "outcome":
            model, payer = done["reward-model"], "It"
            source = "the clone's" if self.settings.variant == "on-policy" else "the scripted"
            said += (
                f" A reward model learnt from {model['rows']:,} speakers of {source} dialogues ({model['steps']:,} "
                "steps)."
            )
        return (
            f"{said} {payer} paid the learner, which began as the clone and took {done['learner']['steps']:,} steps of "
            f"{self.settings.dialogues} dialogues each against it."
        )

    def _learning_family(self, **options: Any) -> Bargain:
        """What is labelled and learnt."""
        return Bargain(judge_bank=LEARNING_BANK, agreement=self.settings.agreement, **options)

    def _world(self, split: str) -> str:
        """The name of what is evaluated on."""
        return f"{FAMILY}:{split}?agreement={self.settings.agreement}"

    def experts_played(self) -> list[Episode]:
        """The expert episodes on disk."""
        return [episode for path in self._expert_files() if path.exists() for episode in load_episodes(path)]

    def _expert_files(self) -> list[Path]:
        names = ("experts", "experts-with-erratic", "experts-against-erratic")
        return [self.folder / f"{name}.jsonl" for name in names]

    def _finished(self, model: str) -> bool:
        return (self.folder / model / COMPLETE).exists()

    def _policy(self, name: str, temperature: float = 1.0, top_p: float | None = None) -> LocalLM:
        if name not in self._loaded:
            self._loaded[name] = load_model(self.folder / name)
        label = name if temperature == 1.0 else f"{name}, temperature {temperature:g}"
        label = label if top_p is None else f"{label}, nucleus {top_p:g}"
        return self._sampling(self._loaded[name], label, temperature, top_p)

    def _other_nuclei(self, partner: LocalLM) -> list[Match]:
        """Rows of the clone with more or fewer of its tokens: what the learner gains may not be that choice."""
        others = [self._policy("clone", top_p=p) for p in self.settings.nuclei if p != self.settings.nucleus]
        return [Match(policy.name, policy, partner) for policy in others]

    def _sampling(
        self, model: LoadedModel | Path, label: str, temperature: float = 1.0, top_p: float | None = None
    ) -> LocalLM:
        return LocalLM(
            model,
            name=label,
            temperature=temperature,
            top_p=self.settings.nucleus if top_p is None else top_p,
            max_new_tokens=self.settings.max_turn_tokens,
        )

    def _rows(self, planned: Sequence[tuple[Match, Sequence[Task]]]) -> list[Evaluation]:
        """Rows of an evaluation, each played by one of the processes; the first one reads them all."""
        mine = {
            place: self._row(match, tasks, progress=self.is_first)
            for place, (match, tasks) in enumerate(planned)
            if place % self.processes == self.rank
        }
        wait_for_everyone()
        if not self.is_first:
            return []
        return [mine.get(place) or self._row(match, tasks) for place, (match, tasks) in enumerate(planned)]

    def _row(self, match: Match, tasks: Sequence[Task], *, progress: bool = False) -> Evaluation:
        path = self.folder / "evaluation" / f"{match.name.replace(' ', '-').replace(',', '')}.jsonl"
        return evaluate(
            match.policy,
            match.partner,
            tasks,
            name=match.name,
            seed=self.seed,
            batch_size=SIDE_BY_SIDE,
            out=path,
            progress=progress,
        )

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        self.console.print(f"[bold]{name}[/]")
        started = time.perf_counter()
        try:
            yield
            wait_for_everyone()
        finally:
            self.add_seconds(name, time.perf_counter() - started)

    def add_seconds(self, stage: str, seconds: float) -> None:
        """Count time that a stage took, in this call or in one that was cut off."""
        if self.is_first:
            counted = self._seconds()
            counted[stage] = counted.get(stage, 0.0) + seconds
            write_json(self.folder / "seconds.json", counted)

    def _seconds(self) -> dict[str, float]:
        path = self.folder / "seconds.json"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}

    def _check_settings(self) -> None:
        self._loaded: dict[str, LoadedModel] = {}
        path = self.folder / "run.json"
        mine = json.loads(json.dumps({"seed": self.seed, "settings": self.settings.described()}))
        if not path.exists():
            write_json(path, mine)
            return
        found = json.loads(path.read_text(encoding="utf-8"))
        if other := differences(found, mine):
            raise ValueError(
                f"{self.folder} holds a run with other {told(other)}; give another --out, or remove the folder"
            )


def _headline(rows: Mapping[str, Sequence[Evaluation]]) -> dict[str, Any]:
    """Teacher, clone and learner against the partners that the clone never met, taken together."""
    partner = f"{len(rows['learner'])} scripted partners not met in cloning"
    together = {name: {**pooled(found, partner).summary, "name": name} for name, found in rows.items()}
    return {**together, "difference": difference(rows["learner"], rows["baseline"])}


def _teachers(episode: Episode) -> list[str]:
    """The seats of an episode whose words are cloned."""
    return [agent for agent in episode.agents if episode.policies[agent] == TEACHER]
