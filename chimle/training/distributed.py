"""Several processes that train one run: who they are, and what they tell each other.

    torchrun --nproc-per-node=2 -m stages.train TASK

Every rank searches its share of a round's images and does its share of every step; all hold the
same weights, and the first writes. A run may be resumed by another number of ranks: codes, poses
and orders are named by the run, never by who computes them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from chimle.errors import UserError


@dataclass(frozen=True)
class Ranks:
    """One process among `count` that train a run together.

    Attributes:
        rank: which one, from 0.
        count: how many there are.
        local: which one on this machine, from 0: the number of its GPU.
    """

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether it is the one that writes and speaks."""
        return self.rank == 0

    def shard(self, length: int) -> slice:
        """Its part of `length` rows: contiguous, and as long as the others' or one off."""
        return slice(self.rank * length // self.count, (self.rank + 1) * length // self.count)

    def device(self, chosen: torch.device) -> torch.device:
        """The chosen kind of device, a GPU of its own where there are several."""
        if chosen.type == "cuda" and self.count > 1:
            torch.cuda.set_device(self.local)
            return torch.device("cuda", self.local)
        return chosen

    def check_batch(self, size: int) -> None:
        """`UserError` unless steps of so many images can be shared out equally."""
        if size % self.count:
            raise UserError(
                f"a step's {size} images cannot be shared by {self.count} processes: make "
                f"`train.batch_size` a multiple of {self.count}, or start fewer"
            )

    def gathered(self, rows: Tensor, length: int) -> Tensor:
        """All ranks' rows in order, (length, ...), of each one's `own(length)`."""
        if self.count == 1:
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

    def shared(self, network: nn.Module, unused: bool) -> nn.Module:
        """The network as it computes in a step: gradients become means over ranks.

        Args:
            network: the same on every rank.
            unused: whether steps leave some parameters without a gradient.
        """
        if self.count == 1:
            return network
        return nn.parallel.DistributedDataParallel(network, find_unused_parameters=unused)

    def barrier(self) -> None:
        """Wait until all are here."""
        if self.count > 1:
            dist.barrier()


ALONE = Ranks()
"""One process that trains by itself."""


@contextmanager
def join_ranks() -> Iterator[Ranks]:
    """The ranks that `torchrun` started, this process among them; alone without it."""
    if not dist.is_torchelastic_launched():
        yield ALONE
        return
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    yield Ranks(dist.get_rank(), dist.get_world_size(), dist.get_node_local_rank())
    # Not after an error: whoever waits for a rank that is gone would wait here, too.
    dist.destroy_process_group()
