"""One configuration trained by several processes: each takes its part of every batch, and the gradients are summed.

Batches, their order, augmentation, steps and learning rates are those of one process, so is the gradient, up to the order of
sums in floating point; batch-norm statistics are those of a part, and the main process's are kept. Gradients go round after
the backward pass, in buckets, not during it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed
from torch import Tensor, nn

from hpsearch.errors import StorageError
from hpsearch.train.gradients import GradientComputer

BUCKET_ELEMENTS = 2**23
"""Gradients that are sent together: 32 MiB in fp32, enough to fill a network, little beside a network's own memory."""
PATIENCE = timedelta(hours=6)
"""How long a process waits for the others: one may have to decode all images first. A lost one is noticed by its connection."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Peers:
    """This process among those that train together."""

    rank: int
    """Its number, from 0; 0 is the main one, which writes checkpoints and the export."""
    count: int
    """How many there are."""
    device: str
    """Where gradients lie: `cpu` or `cuda`."""

    @classmethod
    def join(cls, *, rank: int, count: int, address: str, device: str) -> Peers:
        """Waits until all have joined at `address` (`HOST:PORT` of the main one); NCCL between GPUs, Gloo between CPUs."""
        torch.distributed.init_process_group(
            "nccl" if device == "cuda" else "gloo",
            init_method=f"tcp://{address}",
            rank=rank,
            world_size=count,
            timeout=PATIENCE,
        )
        return cls(rank=rank, count=count, device=device)

    @property
    def is_main(self) -> bool:
        """Whether this one speaks for all."""
        return self.rank == 0

    def part_of(self, num_images: int) -> slice:
        """This process's images of a batch; parts differ by one image at most."""
        return slice(num_images * self.rank // self.count, num_images * (self.rank + 1) // self.count)

    def require_same(self, number: int, what: str) -> None:
        """Checks that all processes have the same `number`, before they train on together.

        Raises:
            StorageError: they have not.
        """
        ends = torch.tensor([number, -number], device=self.device)
        torch.distributed.all_reduce(ends, torch.distributed.ReduceOp.MAX)
        most, least = int(ends[0]), -int(ends[1])
        if least != most:
            raise StorageError(
                f"{what}: {number:,} in process {self.rank}, and from {least:,} to {most:,} in all. Let all nodes see the same "
                "files at the same time, and start the same command again."
            )


class SharedGradients:
    """Computes the gradient of this process's part of a batch, and sums those of all."""

    def __init__(self, own: GradientComputer, network: nn.Module, peers: Peers) -> None:
        self._own = own
        self._network = network
        self._peers = peers

    @property
    def micro_batch(self) -> int:
        """Images that go through the network at once, at most, in this process."""
        return self._own.micro_batch

    @micro_batch.setter
    def micro_batch(self, images: int) -> None:
        self._own.micro_batch = images

    def __call__(self, images_bchw: Tensor, labels_b: Tensor, first: int) -> Tensor:
        """Leaves the whole batch's gradient in every process; see `GradientComputer`, also for what it returns and raises."""
        rows = self._peers.part_of(len(labels_b))
        share = (rows.stop - rows.start) / len(labels_b)
        loss: Tensor = share * self._own(images_bchw[rows], labels_b[rows], first + rows.start)
        gradients = [parameter.grad for parameter in self._network.parameters() if parameter.grad is not None]
        for bucket in _buckets(gradients):
            flat = share * torch.cat([gradient.reshape(-1) for gradient in bucket])
            torch.distributed.all_reduce(flat)
            parts = flat.split([gradient.numel() for gradient in bucket])
            for gradient, summed in zip(bucket, parts, strict=True):
                gradient.copy_(summed.view(gradient.shape))
        torch.distributed.all_reduce(loss)
        return loss


def _buckets(gradients: list[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for gradient in gradients:
        if bucket and sum(map(Tensor.numel, bucket)) + gradient.numel() > BUCKET_ELEMENTS:
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket
