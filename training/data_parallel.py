"""Processes of one machine that train one model on its cores, each on a share of every batch.

Two threads of a small model gain little, since each of its operations is over before the threads have met. Two
processes meet once a step, to add up their gradients.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch.distributed as dist
from peft import PeftModel
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedModel

from sotopia_env.rollouts.workers import WorkerPool


def launch(processes: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in several processes that make one world of ``torch.distributed`` (gloo, on CPUs).

    ``accelerate``, and with it the trainers of ``transformers`` and TRL, finds itself in that world, where
    ``per_device_train_batch_size`` is the share of one process.

    Args:
        processes: how many; each has its share of the cores. The call has to stand behind
            ``if __name__ == "__main__":``.
        function: called in each, with all arguments; it and they can be pickled.
        arguments: of the function.

    Returns:
        What the function returned in the first process.

    Raises:
        RuntimeError: a process died. What a process raises is raised here.
    """
    results: list[Any] = []
    with tempfile.TemporaryDirectory(prefix="sotopia-env-") as folder:
        meeting = str(Path(folder) / "meeting")
        pool = WorkerPool(processes, _join, (processes, meeting, function, arguments), "the function and its arguments")
        pool.run(results.append, together=True)
    if pool.deaths:
        raise RuntimeError(pool.deaths)
    return results[0]


def _join(
    tell: Callable[[Any], None],
    rank: int,
    size: int,
    meeting: str,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    """Join the world, do the work, and have the first tell what came of it."""
    ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ |= {name: str(value) for name, value in ranks.items()}
    loopback = {"lo", "lo0"} & {name for _, name in socket.if_nameindex()}
    if loopback:
        # Nobody outside this machine has to be reached.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback.pop())
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size)
    result = function(*arguments)
    wait_for_everyone()
    if rank == 0:
        tell(result)
    dist.destroy_process_group()


def world() -> tuple[int, int]:
    """The rank of this process and the number of processes: (0, 1) where there is no other."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def wait_for_everyone() -> None:
    """Return when all processes have come here."""
    if dist.is_initialized():
        dist.barrier()


def holds_all_weights(model: Any) -> bool:
    """Whether a process has the whole of a model, as a trainer hands it to its loss, and not a share of its weights."""
    return isinstance(model, DistributedDataParallel | PreTrainedModel | PeftModel)


def call_wrapped(model: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """``function(model, *arguments)``, as the forward pass of the model where processes share its gradients.

    Args:
        model: as a trainer hands it to its loss, wrapped or not.
        function: takes the bare model first.
        arguments: tensors and whatever else it takes.
    """
    if not isinstance(model, DistributedDataParallel):
        return function(model, *arguments)
    # Only what goes through the wrapper's own forward pass is shared.
    bare = model.module
    before = vars(bare).get("forward")

    def restore() -> None:
        del bare.forward
        if before is not None:
            bare.forward = before

    def forward(*args: Any) -> Any:
        # The function calls the model's own.
        restore()
        try:
            return function(bare, *args)
        finally:
            bare.forward = forward

    bare.forward = forward
    try:
        return model(*arguments)
    finally:
        restore()
