"""Train models: behaviour cloning, reward models and GRPO."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sotopia_env.cli.common import MeasuredAgreement, Seed, clear_errors, in_mode, stderr, within
from sotopia_env.cli.settings_help import command_with_settings
from sotopia_env.tables import show
from sotopia_env.training.options import CLONING, GRPO, REWARD_MODEL

train = typer.Typer(no_args_is_help=True, help="Behaviour cloning, reward models and GRPO.")

Out = Annotated[Path, typer.Option(help="Folder for the model; the same command goes on.")]
Config = Annotated[Path | None, typer.Option(help="YAML with TRL's own names; --NAME VALUE overrides.")]

Lora = Annotated[
    int,
    typer.Option(callback=within(0, 2**16), help="Rank of a LoRA adapter; 0 trains the model, or the adapter it is."),
]

_OPEN_OPTIONS = {"allow_extra_args": True, "ignore_unknown_options": True}
_AFTER_INTERRUPT = "the same command goes on from the last checkpoint"


@train.command(
    name="bc",
    cls=command_with_settings("sotopia_env.training.behaviour_cloning", "CloningConfig", "TRL's SFTConfig", CLONING),
    context_settings=_OPEN_OPTIONS,
)
def train_bc(
    context: typer.Context,
    episodes: Annotated[Path, typer.Argument(help="JSON lines of episodes to clone from.")],
    out: Out,
    model: Annotated[str, typer.Option(help="embedded, a directory, or a hub id.")] = "embedded",
    config: Config = None,
    seed: Seed = 0,
    lora: Lora = 0,
) -> None:
    """Clone the behaviour of episodes. Options of TRL's SFTConfig come last."""
    with clear_errors(_AFTER_INTERRUPT):
        from sotopia_env.training.command_line import clone_from_file

        clone_from_file(episodes, model, out, config=config, extra=context.args, seed=seed, lora_rank=lora)
        stderr.print(f"the clone is in {out}; use it as local:{out}", soft_wrap=True)


@train.command(
    name="rm",
    cls=command_with_settings(
        "sotopia_env.training.reward_modelling.config",
        "RewardModelConfig",
        "transformers' TrainingArguments",
        REWARD_MODEL,
    ),
    context_settings=_OPEN_OPTIONS,
)
def train_rm(
    context: typer.Context,
    episodes: Annotated[Path, typer.Argument(help="JSON lines of finished episodes.")],
    out: Out,
    model: Annotated[str, typer.Option(help="The clone's folder, another directory, a hub id, or embedded.")] = (
        "embedded"
    ),
    dimensions: Annotated[
        str, typer.Option(help="One head each; a weight may follow: goal=2,relationship,knowledge.")
    ] = "goal,relationship,knowledge",
    target: Annotated[
        str,
        typer.Option(
            help="labels: the number of a turn by --design; outcome: the episode's score, around every turn; episode: "
            "the same, at the end alone."
        ),
    ] = "labels",
    design: Annotated[str, typer.Option(help="What labels turns: a design of rewards.")] = "direct",
    attributor: Annotated[str, typer.Option(help="Where the importances of turns come from.")] = "rule",
    judge: Annotated[str, typer.Option(help="Who scores episodes.")] = "rule",
    config: Annotated[Path | None, typer.Option(help="YAML with transformers' own names; options override.")] = None,
    seed: Seed = 0,
    lora: Lora = 0,
) -> None:
    """Train a reward model on labels of turns or on outcomes. Options of transformers' TrainingArguments come last."""
    with clear_errors(_AFTER_INTERRUPT):
        from sotopia_env.training.command_line import reward_model_from_file

        report = reward_model_from_file(
            episodes,
            model,
            out,
            dimensions=dimensions,
            target=target,
            design=design,
            attributor=attributor,
            judge=judge,
            config=config,
            extra=context.args,
            seed=seed,
            lora_rank=lora,
        )
        show(report)
        stderr.print(f"the reward model is in {out}; use it as --reward model:{out}", soft_wrap=True)


@train.command(
    name="grpo",
    cls=command_with_settings("sotopia_env.training.grpo_config", "GRPOConfig", "TRL's GRPOConfig", GRPO),
    context_settings=_OPEN_OPTIONS,
)
def train_grpo(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="What to start from: a directory or a hub id.")],
    out: Out,
    tasks: Annotated[str, typer.Option(help="A family, with its split, or a file of tasks.")] = "bargain:train",
    partner: Annotated[str | None, typer.Option(help="A policy or a directory; the start model by default.")] = None,
    reward: Annotated[str, typer.Option(help="What step pays.")] = "episode",
    agreement: MeasuredAgreement = None,
    config: Config = None,
    seed: Seed = 0,
    lora: Lora = 0,
) -> None:
    """GRPO in the environment against a frozen partner. Options of TRL's GRPOConfig come last."""
    with clear_errors(_AFTER_INTERRUPT):
        if model.startswith("--"):
            # The name of an option that the other trainings have.
            raise ValueError(f"{model} is no option here: the model to start from comes without one: train grpo MODEL")
        from sotopia_env.make import parallel_env
        from sotopia_env.training.command_line import adapter_of, read_settings
        from sotopia_env.training.grpo import GRPOTrainer
        from sotopia_env.training.grpo_config import GRPOConfig

        args = read_settings(GRPOConfig, out, config, context.args, seed)
        env = parallel_env(in_mode(tasks, agreement, "formal"), reward=reward)
        GRPOTrainer(model, env=env, partner=partner or model, args=args, peft_config=adapter_of(lora)).train()
        stderr.print(f"the learner is in {out}; use it as local:{out}", soft_wrap=True)
