"""A step's forward and backward pass as one CUDA graph.

A step of a small tower is thousands of short kernels, whose launches take longer than they do. A
graph is recorded once and launched as a whole. It reads and writes the same memory each time: a
round's inputs are copied into the memory of the first round's.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from chimle.training.step_inputs import StepInputs

WARM_UP = 3
"""Steps computed before the recording, in which libraries choose their algorithms."""


def _tensors(inputs: StepInputs) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor)]


class StepGraph:
    """Losses of a step, with their gradients left in the parameters.

    Args:
        losses: makes the losses (n,) of a step of its inputs and view; their sum is minimised.
        parameters: what gets gradients.
        inputs: of the first round; the graph keeps their memory.
        size: images of a step.
    """

    def __init__(
        self,
        losses: Callable[[StepInputs, Tensor], Tensor],
        parameters: Iterable[nn.Parameter],
        inputs: StepInputs,
        size: int,
    ) -> None:
        device = inputs.keys.device
        self.inputs = inputs
        self.members = torch.arange(size, device=device)
        self.view = torch.zeros(3, dtype=torch.int64, device=device)
        parameters = list(parameters)

        def compute() -> Tensor:
            for parameter in parameters:
                parameter.grad = None
            found = losses(self.inputs.rows(self.members), self.view)
            found.sum().backward()
            return found.detach()

        self.graph = torch.cuda.CUDAGraph()
        aside = torch.cuda.Stream(device)
        aside.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                compute()
        torch.cuda.current_stream(device).wait_stream(aside)
        with torch.cuda.graph(self.graph):
            self.losses = compute()

    def fits(self, inputs: StepInputs) -> bool:
        """Whether a round's inputs have the shapes that were recorded."""
        return [t.shape for t in _tensors(self.inputs)] == [t.shape for t in _tensors(inputs)]

    def refill(self, inputs: StepInputs) -> None:
        """Take another round's inputs."""
        for old, new in zip(_tensors(self.inputs), _tensors(inputs), strict=True):
            old.copy_(new)

    def __call__(self, members: Tensor, view: Tensor) -> Tensor:
        """A step on those rows of the round, with that view (both on any device)."""
        self.members.copy_(members, non_blocking=True)
        self.view.copy_(view, non_blocking=True)
        self.graph.replay()
        return self.losses.clone()
