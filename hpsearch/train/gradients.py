"""The gradient of one batch, in pieces as large as the memory holds.

Legend: b images of the batch, m of a micro-batch, c colours, h and w pixels, k classes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn

from hpsearch.errors import InfeasibleError
from hpsearch.train.precision import autocast

log = logging.getLogger(__name__)

Augment = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
"""uint8 `images_bchw`, their labels on the host and the number of the first → float images in [0, 1], and P(deepfake) that
is wanted of each, on the device."""
Loss = Callable[[Tensor, Tensor], Tensor]
"""fp32 `logits_bk` and what is wanted → the mean loss."""


class GradientComputer:
    """Computes gradients of the mean loss of batches; out of memory, it goes on with smaller pieces.

    Pieces are augmented and weighted so that the gradient is that of the whole batch, up to batch-norm statistics, which
    are those of a piece.

    Attributes:
        micro_batch: images that go through the network at once, at most.
    """

    def __init__(
        self,
        model: nn.Module,
        augment: Augment,
        loss: Loss,
        *,
        micro_batch: int,
        dtype: torch.dtype,
        forward: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Prepares for `model`; `forward` computes what it does, where another code for that is faster."""
        self.micro_batch = micro_batch
        self._model = model
        self._forward = forward or model
        self._augment = augment
        self._loss = loss
        self._dtype = dtype

    def __call__(self, images_bchw: Tensor, labels_b: Tensor, first: int) -> Tensor:
        """Adds the gradients of a batch to the parameters'.

        Args:
            images_bchw: stored uint8 images on the device.
            labels_b: their classes, int64, on the host.
            first: number of the first image in the trial's stream of images.

        Returns:
            The mean loss, a scalar on the device; nobody has waited for it.

        Raises:
            InfeasibleError: the memory does not even hold one image.
        """
        while True:
            try:
                return self._accumulated(images_bchw, labels_b, first)
            except torch.OutOfMemoryError as error:
                reason = str(error).strip().partition("\n")[0]
            # Outside the except block, where nothing holds the failed pass's tensors any more.
            self._shrink(min(self.micro_batch, len(labels_b)), reason)

    def _accumulated(self, images_bchw: Tensor, labels_b: Tensor, first: int) -> Tensor:
        num_images = len(labels_b)
        num_pieces = -(-num_images // self.micro_batch)
        loss = torch.zeros((), device=images_bchw.device)
        # Pieces of about equal size: a last piece of one image would have no batch-norm statistics.
        for piece in torch.arange(num_images).tensor_split(num_pieces):
            rows = slice(int(piece[0]), int(piece[-1]) + 1)
            share = len(piece) / num_images
            loss += share * self._piece(images_bchw[rows], labels_b[rows], first + rows.start, share)
        return loss

    def _piece(self, images_mchw: Tensor, labels_m: Tensor, first: int, share: float) -> Tensor:
        augmented_mchw, targets_m = self._augment(images_mchw, labels_m, first)
        with autocast(images_mchw.device, self._dtype):
            logits_mk = self._forward(augmented_mchw)
        loss = self._loss(logits_mk.float(), targets_m)
        torch.autograd.backward(loss * share)
        return loss.detach()

    def _shrink(self, tried: int, reason: str) -> None:
        self._model.zero_grad(set_to_none=True)
        if tried == 1:
            raise InfeasibleError(
                f"one image does not fit the memory ({reason}). Choose a smaller image_px or backbone, or a larger share "
                "of the GPU (resources.gpus_per_trial)."
            )
        torch.cuda.empty_cache()
        self.micro_batch = tried // 2
        log.warning("out of memory with %d images at once; going on with %d", tried, self.micro_batch)
