"""How fast a model plays and learns, and in how much memory: ``python -m sotopia_env.benchmark_models MODEL``.

Four things are measured in turn, each in a process of its own, so that its peak of memory is its own: a rollout, a step
of cloning, a step of a reward model and a step of GRPO, all with LoRA adapters on one model. ``--against CHECKOUT``
measures each with the package of another checkout too, right after, and prints ratios.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from sotopia_env.benchmark import Measure, show_measures

TASKS = "bargain:train?agreement=formal"
RANK = 8
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Size:
    """How much is done.

    Args:
        dialogues: that are played side by side, in the rollout and in a step of GRPO.
        max_cycles: of a dialogue.
        max_turn_tokens: of a turn that the model writes.
        cloning_rows: of a step.
        reward_model_rows: of a step.
        steps: of cloning and of the reward model, of which the first is not counted where there are more.
    """

    dialogues: int = 16
    max_cycles: int = 12
    max_turn_tokens: int = 48
    cloning_rows: int = 16
    reward_model_rows: int = 8
    steps: int = 5


QUICK = Size(dialogues=4, max_cycles=4, max_turn_tokens=16, cloning_rows=4, reward_model_rows=2, steps=2)


@dataclass(frozen=True)
class Found:
    """What one process measured.

    Args:
        seconds: of the rollout, or of a step.
        cpu_seconds: of all its threads, which another load on the machine adds little to.
        megabytes: the most memory that the process held.
        tokens: that the model wrote; 0 where it wrote none.
    """

    seconds: float
    cpu_seconds: float
    megabytes: float
    tokens: int = 0


def play(model: str, size: Size) -> Found:
    """A rollout of a model with itself, in the default settings of ``local:DIR``."""
    from sotopia_env.agents.local_lm import LocalLM
    from sotopia_env.policies import TokenTrace
    from sotopia_env.rollouts.rollout import rollout

    policy = LocalLM(model, max_new_tokens=size.max_turn_tokens)
    traces: dict[tuple[str, str], list[TokenTrace]] = {}
    clock = _Clock()
    clock.start()
    rollout(TASKS, policy, num_episodes=size.dialogues, max_cycles=size.max_cycles, traces=traces)
    clock.stop()
    return clock.found(sum(len(trace.ids) for own in traces.values() for trace in own))


def clone(model: str, size: Size) -> Found:
    """Steps of cloning on scripted bargains."""
    from sotopia_env import training
    from sotopia_env.rollouts.rollout import rollout

    rows, clock = size.cloning_rows * size.steps, _Clock()
    with TemporaryDirectory() as folder:
        args = training.CloningConfig(folder, per_device_train_batch_size=size.cloning_rows, **_settings(size.steps))
        training.clone(
            rollout(TASKS, "scripted:mixed", num_episodes=-(-rows // 2), seed=0),
            model,
            out=Path(folder) / "clone",
            args=args,
            peft_config=_adapter(),
            callbacks=[_steps_of(clock)],
        )
    return clock.found()


def reward_model(model: str, size: Size) -> Found:
    """Steps of a reward model on the outcomes of scripted bargains."""
    from sotopia_env import training
    from sotopia_env.rollouts.rollout import rollout

    rows, clock = size.reward_model_rows * size.steps, _Clock()
    with TemporaryDirectory() as folder:
        args = training.RewardModelConfig(
            folder, held_out=0.0, per_device_train_batch_size=size.reward_model_rows, **_settings(size.steps)
        )
        training.train_reward_model(
            rollout(TASKS, "scripted:mixed", num_episodes=-(-rows // 2), seed=0),
            model,
            labels={"goal": "broadcast"},
            out=Path(folder) / "reward-model",
            args=args,
            peft_config=_adapter(),
            callbacks=[_steps_of(clock)],
        )
    return clock.found()


def grpo(model: str, size: Size) -> Found:
    """A step of GRPO against the model itself."""
    from sotopia_env import training
    from sotopia_env.make import parallel_env

    clock = _Clock()
    with TemporaryDirectory() as folder:
        args = training.GRPOConfig(
            folder,
            per_device_train_batch_size=size.dialogues,
            num_generations=size.dialogues // 2,
            max_turn_tokens=size.max_turn_tokens,
            **_settings(1),
        )
        env = parallel_env(TASKS, reward="episode", max_cycles=size.max_cycles)
        trainer = training.GRPOTrainer(
            model, env=env, partner=model, args=args, peft_config=_adapter(), callbacks=[_steps_of(clock)]
        )
        trainer.train()
        (logged,) = [
            line for line in training.read_metrics(Path(folder) / "metrics.jsonl") if "seconds_playing" in line
        ]
    return clock.found(round(logged["own_tokens_per_second"] * logged["seconds_playing"]))


STAGES: Mapping[str, Callable[[str, Size], Found]] = {
    "rollout": play,
    "cloning step": clone,
    "reward-model step": reward_model,
    "GRPO step": grpo,
}


def measure_all(model: str, against: Path | None, size: Size, stages: tuple[str, ...]) -> Iterator[Measure]:
    """Every stage with this package and, where one is given, with another checkout's.

    Args:
        model: directory or hub id.
        against: the root of another checkout.
        size: how much is done.
        stages: names of ``STAGES``.
    """
    for stage in stages:
        ours = _in_own_process(ROOT, stage, model, size)
        yield from _figures(stage, ours)
        if against is None:
            continue
        theirs = _in_own_process(against, stage, model, size)
        yield from _figures(f"{stage}, {against.name}", theirs)
        if stage == "rollout":
            faster = (ours.tokens / ours.seconds) / (theirs.tokens / theirs.seconds)
            yield Measure(f"{stage}, tokens a second over {against.name}", faster, "x")
        else:
            note = f"of CPU seconds {ours.cpu_seconds / theirs.cpu_seconds:.2f}"
            yield Measure(f"{stage}, time over {against.name}", ours.seconds / theirs.seconds, "x", note=note)
        yield Measure(f"{stage}, memory over {against.name}", ours.megabytes / theirs.megabytes, "x")


def _figures(name: str, found: Found) -> Iterator[Measure]:
    note = f"{found.cpu_seconds:.1f} CPU s" + (f", {found.tokens} tokens" if found.tokens else "")
    if name.startswith("rollout"):
        yield Measure(f"{name}, tokens a second", found.tokens / found.seconds, "/s", note=note)
    else:
        yield Measure(f"{name}, time", found.seconds, "s", note=note)
    yield Measure(f"{name}, peak memory", found.megabytes, "MB")


def _in_own_process(checkout: Path, stage: str, model: str, size: Size) -> Found:
    """What a stage takes with the package of a checkout, called by this very file."""
    # Without -P the folder of this file would be searched before the standard library.
    command = [sys.executable, "-P", __file__, model, "--stage", stage, "--size", json.dumps(asdict(size))]
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return Found(**json.loads(run.stdout.splitlines()[-1]))


class _Clock:
    """Seconds of steps, by the wall and by the processor."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, float]] = []

    def start(self) -> None:
        self.since = (time.perf_counter(), time.process_time())

    def stop(self) -> None:
        self.steps.append((time.perf_counter() - self.since[0], time.process_time() - self.since[1]))

    def found(self, tokens: int = 0) -> Found:
        """The mean of the steps but the first, which also sets things up: rows of a step are of like length."""
        wall, cpu = (statistics.fmean(column) for column in zip(*(self.steps[1:] or self.steps), strict=True))
        return Found(wall, cpu, _megabytes(), tokens)


def _steps_of(clock: _Clock) -> Any:
    from transformers import TrainerCallback

    class Steps(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            clock.start()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.stop()

    return Steps()


def _settings(steps: int) -> dict[str, Any]:
    return {"max_steps": steps, "save_strategy": "no", "disable_tqdm": True}


def _adapter() -> Any:
    from sotopia_env.training.command_line import adapter_of

    return adapter_of(RANK)


def _megabytes() -> float:
    # A process begins with the peak of the one that started it, as far as `resource` tells; /proc knows its own.
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text(encoding="utf-8").split("VmHWM:")[1].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main(
    model: Annotated[str, typer.Argument(help="Directory or hub id of a causal language model.")],
    against: Annotated[Path | None, typer.Option(help="Another checkout, measured in turn with this one.")] = None,
    quick: Annotated[bool, typer.Option(help="Little of everything.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(STAGES)}; repeat for several.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of a table.")] = False,
    stage: Annotated[str, typer.Option(hidden=True)] = "",
    size: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Measure, and print each figure."""
    if stage:
        print(json.dumps(asdict(STAGES[stage](model, Size(**json.loads(size))))))
        return
    if unknown := [name for name in only or () if name not in STAGES]:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(STAGES)}", param_hint="--only")
    if against is not None and not (against / "sotopia_env" / "__init__.py").is_file():
        raise typer.BadParameter(f"{against} holds no folder sotopia_env", param_hint="--against")
    measures = measure_all(model, against, QUICK if quick else Size(), tuple(only or STAGES))
    show_measures(measures, as_json, "sotopia-env")


if __name__ == "__main__":
    typer.run(main)
