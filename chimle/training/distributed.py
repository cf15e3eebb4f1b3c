"""Several processes (ranks) that train one run, and what they exchange.

    torchrun --nproc-per-node=2 -m stages.train TASK

Every rank searches its share of a round's images and does its share of every step; all hold the
same weights, and the first writes. A run may be resumed by another number of ranks: codes, poses
and orders are named by the run, never by the rank.
"""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from chimle.errors import UserError
from chimle.io.end_after import end_after


@dataclass(frozen=True)
class Ranks:
    """One process among `count` that train a run together.

    Attributes:
        rank: which one, from 0.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes files and prints."""
        return self.rank == 0

    def shard(self, length: int) -> slice:
        """Its part of `length` rows: contiguous, and as long as the others' or one off."""
        return slice(self.rank * length // self.count, (self.rank + 1) * length // self.count)

    def check_batch(self, size: int, micro_batches: int, batch_size: int) -> None:
        """`UserError` unless a step's images can be split and shared out equally.

        Args:
            size: images of a step.
            micro_batches: parts that a step is computed in, one after the other.
            batch_size: images of a step that were asked for; a round or a split may have fewer.
        """
        bound = "" if size == batch_size else f" of at most {size}, as there are no more images"
        if size % micro_batches:
            raise UserError(
                f"a step's {size} images cannot be split into {micro_batches} equal parts: make "
                f"`train.batch_size` a multiple of `train.micro_batches`{bound}"
            )
        if micro_batches > 1 and micro_batches % self.count:
            raise UserError(
                f"{micro_batches} parts of a step cannot be shared by {self.count} processes: make "
                f"`train.micro_batches` 1 or a multiple of {self.count}"
            )
        if size % self.count:
            raise UserError(
                f"a step's {size} images cannot be shared by {self.count} processes: make "
                f"`train.batch_size` a multiple of {self.count}{bound}, or start fewer"
            )

    def check_same(self, values: Tensor) -> None:
        """`UserError` unless all ranks hold these values, the position from which they go on."""
        if self.count == 1:
            return
        received = [torch.empty_like(values) for _ in range(self.count)]
        dist.all_gather(received, values)
        if any(not torch.equal(other, values) for other in received):
            raise UserError(
                "the processes read different training states: put `scratch/` on a file system "
                "that all of them share, or start one machine alone"
            )

    def gathered(self, rows: Tensor, length: int) -> Tensor:
        """All ranks' rows in order, (length, ...), of each one's `shard(length)`."""
        if self.count == 1 or not length:
            return rows
        parts = [Ranks(rank, self.count).shard(length) for rank in range(self.count)]
        sizes = [part.stop - part.start for part in parts]
        padded = rows.new_zeros((max(sizes), *rows.shape[1:]))
        padded[: len(rows)] = rows
        received = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(received, padded)
        return torch.cat([part[:size] for part, size in zip(received, sizes, strict=True)])

    def mean(self, values: Tensor) -> Tensor:
        """The mean over ranks, the same on each."""
        if self.count > 1:
            dist.all_reduce(values)
            values = values / self.count
        return values

    def from_first(self, value: float, device: torch.device) -> float:
        """The first rank's value, on all; a device of the ranks' backend carries it."""
        if self.count == 1:
            return value
        carried = torch.tensor(value, dtype=torch.float64, device=device)
        dist.broadcast(carried, 0)
        return float(carried)

    def least(self, value: int, device: torch.device) -> int:
        """The least of all ranks' values, on each; a device of the ranks' backend carries it."""
        if self.count == 1:
            return value
        carried = torch.tensor(value, device=device)
        dist.all_reduce(carried, dist.ReduceOp.MIN)
        return int(carried)

    def shared(self, network: nn.Module, unused: bool) -> nn.Module:
        """The network as it computes in a step: gradients become means over ranks.

        Args:
            network: the same on every rank.
            unused: whether steps leave some parameters without a gradient.
        """
        if self.count == 1:
            return network
        return nn.parallel.DistributedDataParallel(network, find_unused_parameters=unused)

    def added_up(self, network: nn.Module, last: bool) -> AbstractContextManager[None]:
        """Around a forward and backward pass whose gradients are added to those that are there.

        Args:
            network: what `shared` returned.
            last: whether gradients become means over ranks now.
        """
        if last or not isinstance(network, nn.parallel.DistributedDataParallel):
            return nullcontext()
        unsynchronised: AbstractContextManager[None] = network.no_sync()
        return unsynchronised

    def barrier(self) -> None:
        """Wait until all are here."""
        if self.count > 1:
            dist.barrier()


ALONE = Ranks()
"""One process that trains by itself."""
_AGENT_CHECK = 1.0
"""Seconds between two looks for `torchrun`."""


def rank_device(chosen: torch.device, local: int) -> torch.device:
    """A rank's device: of CUDA the GPU with its number on this machine, unless one was named."""
    if chosen.type != "cuda" or chosen.index is not None:
        return chosen
    return torch.device("cuda", local)


def _end_without_agent() -> None:
    """End this rank when the `torchrun` that started it has ended, even by SIGKILL.

    It would wait for others that are gone, or compute on, and hold the lock of the run meanwhile.
    """
    agent = os.getppid()

    def wait() -> None:
        while os.getppid() == agent:
            time.sleep(_AGENT_CHECK)

    end_after(wait)


@contextmanager
def join_ranks(chosen: torch.device) -> Iterator[tuple[Ranks, torch.device]]:
    """The ranks that `torchrun` started, this process among them, and the device of this one.

    Without `torchrun` a process is alone; with it, it ends when `torchrun` does. The backend
    follows the chosen device: NCCL for CUDA, gloo for everything else.

    Args:
        chosen: what `chimle.device.choose_device` returned.
    """
    if not dist.is_torchelastic_launched():
        yield ALONE, chosen
        return
    _end_without_agent()
    device = rank_device(chosen, dist.get_node_local_rank())
    if device.type == "cuda":
        # Before the process group, which else puts every rank's context on the first GPU.
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    yield Ranks(dist.get_rank(), dist.get_world_size()), device
    # Not after an error: a rank that waits for one that is gone would wait here, too.
    dist.destroy_process_group()
