"""The files of a recipe's folder: what each stage reads and writes there."""

from __future__ import annotations

EXPERTS = "experts/episodes.jsonl"
CHOSEN = "experts/chosen.json"
CLONE = "clone"
SELF_PLAY = "self-play/episodes.jsonl"
LABELS = "labels/episodes.jsonl"
REWARD_MODEL = "reward-model"
LEARNER = "learner"
EVALUATION = "evaluation"
REPLIES = "replies.sqlite"
CALLS = "calls.jsonl"

READS: dict[str, tuple[str, ...]] = {
    "experts": ("tasks, or episodes in place",),
    "filtering": (EXPERTS,),
    "cloning": (EXPERTS, CHOSEN),
    "self-play": (CLONE,),
    "labels": (f"{EXPERTS} or {SELF_PLAY}",),
    "reward-model": (LABELS,),
    "grpo": (CLONE, REWARD_MODEL),
    "evaluation": (CLONE, LEARNER),
}
WRITES: dict[str, tuple[str, ...]] = {
    "experts": (EXPERTS,),
    "filtering": (CHOSEN,),
    "cloning": (CLONE,),
    "self-play": (SELF_PLAY,),
    "labels": (LABELS,),
    "reward-model": (REWARD_MODEL,),
    "grpo": (LEARNER,),
    "evaluation": (f"{EVALUATION}/table.md, .json",),
}
