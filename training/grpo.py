"""GRPO over dialogues, or single turns of them, played in the environment against a frozen partner.

TRL's trainer does the optimisation. What is added here: dialogues instead of single completions, paid by the
environment's ``step``; one advantage per own turn; the clone as reference; metrics of dialogues; exact resumption.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
import trl
from accelerate.utils import gather_object
from peft import PeftConfig
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import Trainer
from transformers.trainer_utils import TrainOutput

from sotopia_env.agents.adapters import without_known_warnings
from sotopia_env.agents.decoding import drawable, tempered
from sotopia_env.agents.loading import LoadedModel
from sotopia_env.agents.local_lm import LocalLM
from sotopia_env.episodes import agent_name
from sotopia_env.errors import DataWarning
from sotopia_env.families.formal import told_modes
from sotopia_env.policies import Policy
from sotopia_env.rewards.wrappers.base import reward_of
from sotopia_env.rollouts.manifest import describe_world
from sotopia_env.seeds import process_seed
from sotopia_env.training.advantages import group_advantages
from sotopia_env.training.callbacks import EvaluateEvery, report_with
from sotopia_env.training.checkpoints import (
    COMPLETE,
    MarkComplete,
    described_run,
    finished_run,
    latest_checkpoint,
    refuse_foreign,
    write_json,
)
from sotopia_env.training.cpu import without_autocast
from sotopia_env.training.data_parallel import call_wrapped, holds_all_weights
from sotopia_env.training.dialogue_metrics import averages, dialogue_values
from sotopia_env.training.estimators import Estimator, RunningBaseline, get_estimator
from sotopia_env.training.grpo_config import GRPOConfig
from sotopia_env.training.model_card import write_model_card
from sotopia_env.training.reference import partner_for, reference_for
from sotopia_env.training.rollout_func import (
    GroupMember,
    check_context,
    check_payable,
    dialogue_return,
    group_dataset,
    learner_of,
    sampling_of,
)
from sotopia_env.training.sample_dialogues import SampleDialogue
from sotopia_env.training.scoring import rows_together, scored
from sotopia_env.training.single_turn import rollout_for
from sotopia_env.training.start import TrainsAnyModel, load_to_train, without_dropout

RUNNING_BASELINE = "running_baseline.json"


class GRPOTrainer(TrainsAnyModel, trl.GRPOTrainer):
    """Trains a policy over dialogues with group-relative advantages (Shao et al., 2024, arXiv:2402.03300).

    ``train()`` goes on from the newest checkpoint in ``args.output_dir`` where there is one, and leaves the trained
    model there, for :func:`~sotopia_env.agents.loading.load_model`, with ``metrics.jsonl`` and a model card
    (``README.md``); last of all comes ``complete.json``.

    Args:
        model: a directory, a hub id, a ``LoadedModel``, or a model with its ``tokenizer``: what the run starts from,
            also when it goes on.
        env: a reward-wrapped environment. It is forked for each dialogue.
        partner: acts for the other seats and does not learn: a policy, a name, or a directory. An adapter on the base
            that the learner has too shares its weights; the learner's own model is copied.
        args: settings.
        tokenizer: where the model comes without one.
        reference: what the learner is held against, a directory or a model; by default the model as it is given, with
            its adapter, frozen. It shares weights with a partner that has the same ones.
        estimator: a function ``(rewards_GT, alive_GT) -> advantages_GT`` in place of ``args.estimator``.
        evaluate: ``(policy, step) -> {name: number}``, called every ``args.evaluation_steps`` steps.
        peft_config: train a LoRA adapter instead of the whole model.
        options: passed to TRL's trainer, such as ``callbacks``.

    Raises:
        TypeError: the environment pays nothing.
        ValueError: dialogues could outgrow the model's context, settings do not go with the arguments, the folder holds
            another run, the reference reads other tokens, the model cannot be trained
            (:func:`~sotopia_env.training.start.load_to_train`), or the reward can never be known of some of the tasks.
            ``train`` stops with it once no dialogue of a step could be paid (of several steps, where one has fewer than
            32); where none of a shorter run could, it warns.

    Example:
        >>> trainer = GRPOTrainer("runs/bc", env=env, partner="runs/bc", args=GRPOConfig("runs/grpo"))  # doctest: +SKIP
        >>> trainer.train()  # doctest: +SKIP
    """

    args: GRPOConfig
    model: Any
    processing_class: Any

    def __init__(
        self,
        model: Any,
        *,
        env: Any,
        partner: Any,
        args: GRPOConfig | None = None,
        tokenizer: Any = None,
        reference: Any = None,
        estimator: Estimator | None = None,
        evaluate: Callable[[Policy, int], Mapping[str, float]] | None = None,
        peft_config: PeftConfig | None = None,
        **options: Any,
    ) -> None:
        args = args or GRPOConfig()
        if args.evaluation_steps and evaluate is None:
            raise ValueError(
                f"evaluation_steps = {args.evaluation_steps}, but there is nothing to call; pass evaluate= to "
                "GRPOTrainer, or leave it out"
            )
        if estimator is not None and (args.estimator, args.estimator_options) != (GRPOConfig.estimator, None):
            raise ValueError(
                f"estimator: a function is given, and {args.estimator!r} with {args.estimator_options} in the "
                "settings; leave one out"
            )
        seats = [seat for seat in args.seats if agent_name(seat) not in env.possible_agents]
        if seats or not args.seats:
            raise ValueError(f"seats = {args.seats}: give numbers from 0 to {len(env.possible_agents) - 1}")
        check_payable(env)
        loaded = load_to_train(model, tokenizer, peft_config=peft_config, seed=args.seed, bf16=args.bf16)
        check_context(env, loaded, args.max_turn_tokens)
        policy = partner_for(partner, loaded, model, args.play_dtype)
        self.reference = reference_for(loaded, reference, policy)
        self.rollout = rollout_for(args, env, policy)
        self.sampling = sampling_of(args, args.max_turn_tokens)
        self.estimator = estimator or get_estimator(args.estimator, **(args.estimator_options or {}))
        self.running = RunningBaseline()
        self._start = loaded.name
        self.run = described_run(
            args,
            start=loaded,
            reference=self.reference,
            partner=policy,
            estimator=estimator,
            adapter=None if peft_config is None else peft_config.to_dict(),
            **describe_world(env),
        )
        self._scored: Tensor | None = None
        self._entropies: Tensor | None = None  # beside the last log-probabilities that were asked for without gradients
        self._leaves: tuple[Tensor, Tensor] | None = None  # numbers of tokens that stand for the model in the loss
        # The reference is ours: TRL would build it from a checkpoint's name, and not at all without beta.
        beta, args.beta = args.beta, 0.0
        with _without_warnings_of_trl():
            super().__init__(
                loaded.model,
                reward_funcs=dialogue_return,
                args=args,
                train_dataset=group_dataset(
                    args.num_groups,
                    seed=args.seed,
                    seats=args.seats,
                    states_per_dialogue=args.states_per_dialogue,
                ),
                processing_class=loaded.tokenizer,
                rollout_func=self._play,
                **options,
            )
        self.beta = args.beta = beta
        if args.disable_dropout:
            without_dropout(self.accelerator.unwrap_model(self.model))
        report_with(
            self, self._folder / "metrics.jsonl", shown=("reward", "unknown_rewards", "deal_rate", "kl_to_reference")
        )
        self.add_callback(MarkComplete(self.run))
        if args.log_dialogue_steps and args.report_to:
            self.add_callback(
                SampleDialogue(
                    args.log_dialogue_steps,
                    lambda: self.rollout.dialogues,
                    lambda: self.callback_handler.callbacks,
                )
            )
        if evaluate is not None and args.evaluation_steps:
            # TRL's own log would put the metrics of the step on the same line.
            log = partial(Trainer.log, self)
            self.add_callback(EvaluateEvery(args.evaluation_steps, lambda step: evaluate(self.policy, step), log))

    @property
    def policy(self) -> Policy:
        """The learner with its present weights."""
        return self.rollout.learner or learner_of(self, self.args.max_turn_tokens)

    def train(
        self, resume_from_checkpoint: str | bool | None = None, trial: Any = None, ignore_keys_for_eval: Any = None
    ) -> TrainOutput:
        """Train, from the newest checkpoint where there is one; ``resume_from_checkpoint=False`` starts anew."""
        refuse_foreign(self._folder)
        found = None
        if resume_from_checkpoint in (None, True):
            finished_run(self._folder, self.run)
            found = latest_checkpoint(self._folder, self.run)
        checkpoint = str(found) if found else resume_from_checkpoint or None
        if isinstance(checkpoint, str):
            path = Path(checkpoint) / RUNNING_BASELINE
            self.running = RunningBaseline.from_state(json.loads(path.read_text(encoding="utf-8"))["running"])
        else:
            checkpoint = None
        output = super().train(checkpoint, trial, ignore_keys_for_eval)
        # Of a run that went on, earlier steps may have been paid.
        if found is None and self.rollout.unpaid and not self.rollout.paid:
            warnings.warn(self.rollout.told_unpaid(), DataWarning, stacklevel=2)
        if self.is_world_process_zero():
            LoadedModel(self.accelerator.unwrap_model(self.model), self.processing_class).save(self._folder)
            self.create_model_card()
            write_json(self._folder / COMPLETE, {"run": self.run, "steps": self.state.global_step})
        self.accelerator.wait_for_everyone()
        return output

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Write what learnt from what, up to here, in place of the card that TRL leaves with each checkpoint."""
        if not self.is_world_process_zero():
            return
        world, tasks = self.rollout.env.unwrapped, self.run["tasks"]
        reward = reward_of(self.rollout.env)
        drawn = world.agreement or getattr(world.family, "agreement", "")
        facts = {
            "start model": self._start,
            "world": f"{world.family.name} {world.family.version}",
            "agreements": (drawn if world.tasks is None else told_modes(world.tasks, world.family)) or None,
            "tasks": tasks["split"] or f"{tasks['number']}, fingerprint {tasks['fingerprint']}",
            "paid by": None if reward is None else reward.name,
            "partner": getattr(self.rollout.partner, "name", type(self.rollout.partner).__name__),
            "steps": self.state.global_step,
        }
        said = "A language model that learnt in dialogues, which it played against a frozen partner, by GRPO."
        write_model_card(self._folder, "grpo", said, facts, self.args)

    @property
    def _folder(self) -> Path:
        return Path(str(self.args.output_dir))

    def _play(self, prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        """The rollout function: also notes which tokens are the learner's own, for the scoring that follows."""
        started = time.perf_counter()
        with without_autocast(self.accelerator.unwrap_model(self.model)):
            output = self.rollout(prompts, trainer)
        seconds = time.perf_counter() - started
        self._record_mean("seconds_playing", seconds)
        for name, number in self.rollout.sampled.items():
            self._record_mean(name, number)
        self._record_mean("own_tokens_per_second", sum(self.rollout.sampled.values()) / seconds)
        self._scored = _padded(output["env_mask"], 0, self.accelerator.device)
        return output

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        # All that is drawn in a step follows from the step, so that a run that goes on repeats what it would have done.
        step = int(self.state.global_step)
        torch.manual_seed(process_seed(self.args.seed, step, self.args.process_index))
        self.rollout.learner = self.policy
        self._correct_sampling(self.rollout.learner)
        beta, self.beta = self.beta, 0.0
        try:
            with _without_warnings_of_trl():
                output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        finally:
            self.beta, self._scored = beta, None
        dialogues = [record["dialogue"] for record in inputs]
        index = _padded([record["utterance_index"] for record in inputs], -1, self.accelerator.device)
        output["advantages"] = self._token_advantages(dialogues, index)
        if "old_per_token_logps" in output and self._entropies is not None:
            output["old_entropies"] = self._entropies
            output["scored_at"] = torch.full((len(index),), step, device=index.device)
        self._hold_against_reference(output)
        for name, value in averages(gather_object(dialogue_values(self.rollout.dialogues))).items():
            self._record(name, value)
        return output

    def _correct_sampling(self, learner: Policy) -> None:
        """Switch TRL's correction for turns that vLLM has sampled on where others than the weights in training do so.

        Without it their log-probabilities are taken for those of the weights.
        """
        self.use_vllm = isinstance(learner, LocalLM) and not learner.generator.exact
        # Weights are handed over by the learner's generator, and not by TRL.
        self._last_loaded_step = self.state.global_step
        if self.loss_type == "vespo":
            # It takes one ratio a token alone.
            self.vllm_importance_sampling_mode = "token_truncate"

    def _record(self, name: str, value: float) -> None:
        """Log a number with the others of this step."""
        self._metrics["train" if self.model.training else "eval"][name].append(value)

    def _record_mean(self, name: str, value: float, weight: float = 1.0) -> None:
        """Log the weighted mean of a number over all processes; nothing where no process has any weight."""
        mine = torch.tensor([[value * weight, weight]], device=self.accelerator.device)
        total, weights = self.accelerator.gather(mine).sum(dim=0).tolist()
        if weights:
            self._record(name, total / weights)

    def _calculate_rewards(self, inputs: list[dict[str, Any]], *_: Any) -> Tensor:
        # What step paid. TRL's own way would print a whole dialogue for each that could not be judged.
        totals = [float("nan") if record["dialogue_return"] is None else record["dialogue_return"] for record in inputs]
        rewards: Tensor = self.accelerator.gather(torch.tensor(totals, device=self.accelerator.device)[:, None])
        return rewards

    def _token_advantages(self, dialogues: Sequence[GroupMember], index: Tensor) -> Tensor:
        """(B, C): the advantage of the turn a token belongs to, 0 on what is not the learner's."""
        advantages_BT, flat_groups = group_advantages(
            dialogues,
            int((self.num_generations if self.model.training else self.num_generations_eval) or 1),
            self.estimator,
            self.args.credit_estimator,
            self.args.scale_rewards,
            self.running,
            gather_object,
        )
        self._record_mean("zero_spread_groups", flat_groups)
        per_turn = torch.from_numpy(advantages_BT).to(index.device, torch.float32)
        return per_turn.gather(1, index.clamp(min=0)) * (index >= 0)

    def _hold_against_reference(self, output: dict[str, Any]) -> None:
        """The reference's log-probabilities: of all rows where the loss needs them, else of a few, to be logged."""
        num_rows = len(output["prompt_ids"]) if self.beta else self.args.reference_rows
        # Scored by the weights in training, where others have sampled.
        sampled = output.get("old_per_token_logps", output.get("sampling_per_token_logps"))
        if not num_rows:
            return
        rows = slice(0, num_rows)
        ids = torch.cat([output["prompt_ids"][rows], output["completion_ids"][rows]], dim=1)
        attention = torch.cat([output["prompt_mask"][rows], output["completion_mask"][rows]], dim=1)
        own = torch.cat([torch.zeros_like(output["prompt_ids"][rows]), output["tool_mask"][rows]], dim=1) * attention
        with self.accelerator.autocast():
            logprobs = self.reference.logprobs(
                ids,
                attention,
                own,
                self.temperature,
                drawable=partial(self._drawable_in, ids, attention, own) if self._cuts else None,
            )
        logprobs = logprobs[:, -output["completion_ids"].shape[1] :]
        if self.beta:
            output["ref_per_token_logps"] = logprobs
        if sampled is not None:
            mask = own[:, -logprobs.shape[1] :].bool()
            ratio = (logprobs - sampled[rows])[mask]
            # The estimator k3 of Schulman (2020), which TRL's loss uses too: never negative, of small variance.
            divergence = (ratio.exp() - ratio - 1).sum().item() / max(1, len(ratio))
            self._record_mean("kl_to_reference", divergence, weight=len(ratio))

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        own = inputs["completion_mask"] * inputs["tool_mask"]
        with self._scoring(own):
            if not self._is_known(model, inputs, own):
                plain: Tensor = super()._compute_loss(model, inputs)
                return plain
            entropy = inputs["old_entropies"].clone().requires_grad_(self._entropy_bonus_enabled)
            self._leaves = (inputs["old_per_token_logps"].clone().requires_grad_(), entropy)
            try:
                loss: Tensor = super()._compute_loss(model, inputs)
                slopes = torch.autograd.grad(loss, [leaf for leaf in self._leaves if leaf.requires_grad])
            finally:
                self._leaves = None
        self._go_back(model, inputs, own.bool(), slopes)
        # What is learnt has gone back already.
        return loss.detach().requires_grad_()

    def _is_known(self, model: Any, inputs: dict[str, Any], own: Tensor) -> bool:
        """Whether the loss can be told from what was scored before: by the same weights, and without dropout."""
        return (
            torch.is_grad_enabled()
            and "scored_at" in inputs
            and bool((inputs["scored_at"] == self.state.global_step).all())
            and self.args.disable_dropout
            and not self.aux_loss_enabled
            and bool(own.any())
            and holds_all_weights(model)
        )

    def _go_back(self, model: Any, inputs: dict[str, Any], own: Tensor, slopes: Sequence[Tensor]) -> None:
        """There and back over some rows at a time, given how the loss changes with each token's numbers.

        Args:
            model: as it is handed to the loss.
            inputs: the batch.
            own: (B, C) booleans: the learner's tokens.
            slopes: (B, C) derivatives of the loss by log-probabilities and, where it looks at them, entropies.
        """
        ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
        attention = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
        # What the loss does not change with need not be read; of a batch that teaches nothing one token is.
        taught = own & torch.stack([slope != 0 for slope in slopes]).any(0)
        if not taught.any():
            taught = own & (own.flatten().cumsum(0) == 1).view(own.shape)
        rows = taught.any(1).nonzero()[:, 0]
        selected = torch.cat([torch.zeros_like(inputs["prompt_ids"], dtype=torch.bool), taught], dim=1)
        language_model = self.accelerator.unwrap_model(model)
        groups = rows_together(language_model, ids[rows], attention[rows], selected[rows])
        for number, group in enumerate(groups, 1):
            some = rows[torch.tensor(group, device=rows.device)]
            # Processes add up their gradients once, however many pieces each of them has.
            with self.accelerator.no_sync(model) if number < len(groups) else nullcontext():
                *numbers, _ = self._score(model, ids[some], attention[some], taught[some], False)
                parts = [(said * slope[some]).sum() for said, slope in zip(numbers, slopes, strict=False)]
                self.accelerator.backward(torch.stack(parts).sum())

    @contextmanager
    def _scoring(self, mask: Tensor) -> Iterator[None]:
        self._scored = mask
        try:
            yield
        finally:
            self._scored = None

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **options: Any,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Score the learner's own tokens alone, as they were sampled; all others are masked out of the loss anyway."""
        if self._scored is None or not holds_all_weights(model):
            scored: tuple[Tensor, Tensor | None, Tensor | None] = super()._get_per_token_logps_and_entropies(
                model,
                input_ids,
                attention_mask,
                logits_to_keep,
                batch_size,
                compute_entropy,
                compute_aux_loss,
                **options,
            )
            return scored
        if self._leaves is not None:
            return (*self._leaves, None)
        parts = []
        for start in range(0, len(input_ids), batch_size or len(input_ids)):
            rows = slice(start, start + (batch_size or len(input_ids)))
            own = self._scored[rows].bool()
            parts.append(self._score(model, input_ids[rows], attention_mask[rows], own, compute_aux_loss))
        logprobs, entropies, losses = zip(*parts, strict=True)
        aux_loss = torch.stack(losses).mean() if compute_aux_loss else None
        self._entropies = None if torch.is_grad_enabled() else torch.cat(entropies)
        return torch.cat(logprobs), torch.cat(entropies) if compute_entropy else None, aux_loss

    def _score(
        self, model: Any, input_ids: Tensor, attention_mask: Tensor, own: Tensor, with_router_loss: bool
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        prompt = torch.zeros(len(own), input_ids.shape[1] - own.shape[1], dtype=torch.bool, device=own.device)
        selected = torch.cat([prompt, own], dim=1)
        with self.accelerator.autocast():
            (chosen, entropy), loss = call_wrapped(
                model, scored, input_ids, attention_mask, selected, self._logprob_and_entropy, with_router_loss
            )
        empty = torch.zeros(own.shape, dtype=torch.float32, device=own.device)
        return empty.masked_scatter(own, chosen), empty.masked_scatter(own, entropy), loss

    def _logprob_and_entropy(self, logits: Tensor, tokens: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        logits = tempered(logits, self.temperature)
        among = self._drawable(logits, tokens[:, None]) if self._cuts else None
        logprobs = (logits if among is None else logits.masked_fill(~among, -torch.inf)).log_softmax(-1)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self._entropy_bonus_enabled):
            # What cannot be drawn adds nothing, and minus infinity times 0 would be no number.
            finite = logprobs if among is None else logprobs.masked_fill(~among, 0.0)
            entropy = -(logprobs.exp() * finite).sum(-1)
        return logprobs.gather(-1, tokens[:, None])[:, 0], entropy

    @property
    def _cuts(self) -> bool:
        """Whether not all tokens can be drawn."""
        return self.sampling.top_k is not None or self.sampling.top_p is not None

    def _drawable(self, logits: Tensor, tokens: Tensor) -> Tensor:
        """Which tokens the learner can draw; what was drawn is among them, whatever rounding says."""
        return drawable(logits, self.sampling).scatter(-1, tokens, True)

    @torch.no_grad()
    def _drawable_in(self, ids: Tensor, attention: Tensor, own: Tensor, rows: slice) -> Tensor:
        selected = own[rows].bool()
        model = self.accelerator.unwrap_model(self.model)
        training = model.training
        model.eval()

        def read(logits: Tensor, tokens: Tensor, _: Tensor) -> tuple[Tensor]:
            return (self._drawable(tempered(logits, self.temperature), tokens[:, None]),)

        (among,), _ = scored(model, ids[rows], attention[rows], selected, read)
        model.train(training)
        return among

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        folder = self._folder / f"checkpoint-{self.state.global_step}"
        if self.is_world_process_zero():
            write_json(folder / RUNNING_BASELINE, {"running": self.running.state()})


@contextmanager
def _without_warnings_of_trl() -> Iterator[None]:
    """Without what TRL 1.16 says of its own doings: that rollout_func is young, and that it uses an old name."""
    with without_known_warnings():
        warnings.filterwarnings("ignore", "You are using 'rollout_func'", UserWarning)
        yield


def _padded(rows: Sequence[Sequence[int]], value: int, device: torch.device) -> Tensor:
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value).to(device)
