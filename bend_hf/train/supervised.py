"""The paper's supervised baselines: a dilated ResNet and Basset, trained from scratch on one-hot sequences.

    network = resnet_supervised(task, dim=5, protocol=get_protocol("default"))
    logits = network(Batch(vectors, lengths))        # (sequences, positions, outputs), as the CNN head

Both take the place of the CNN head in `bend_hf.train.fit.fit`; the vectors are those of the one-hot embedder.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bend_hf.errors import BendError
from bend_hf.models.convnet import ConvLayer
from bend_hf.protocols import Protocol
from bend_hf.tasks import Task
from bend_hf.train.head import Batch, CNNHead, cnn_head

LAYERS, WIDTH = 30, 256
HEAD_WIDTH = 64
"""Channels of the head behind the ResNet, for every task: the enhancers' own head is 2 wide, but not this one."""
DILATIONS = (1, 2, 4, 8, 16, 32)
BASSET_WINDOW = 512
ONE_HOT = 5
KEPT_NUMBERS = 2**22
"""Numbers in a layer's input up to which training keeps what is between; beyond (100,096-bp windows), it is computed
again in the backward pass, which takes longer and needs a fraction of the memory."""


class SupervisedResNet(nn.Module):
    """Dilated residual layers on one-hot vectors, then the CNN head of the task.

    Args:
        head: The CNN head, for vectors as wide as the layers.
        layers: Residual layers; their dilations are 1 2 4 8 16 32, again and again.
        width: Channels; the one-hot vector is filled up with zeros to as many.
        kernel: Width of the convolutions.
    """

    def __init__(self, head: CNNHead, layers: int = LAYERS, width: int = WIDTH, kernel: int = 9) -> None:
        super().__init__()
        self.width = width
        self.encoder = nn.ModuleList(ConvLayer(width, kernel, DILATIONS[i % len(DILATIONS)]) for i in range(layers))
        for module in self.encoder.modules():
            if isinstance(module, nn.Linear):  # as the reference starts them; the rest starts as torch does
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        self.head = head

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B, positions, outputs), float32.

        What lies behind a sequence's end is zero before every convolution, unless the protocol lets padding through.
        """
        x = F.pad(batch.vectors.float(), (0, self.width - batch.vectors.shape[2]))
        real = None
        if not self.head.padding_reaches_head and not bool(batch.lengths.all()):
            real = batch.lengths.to(x.device, x.dtype).unsqueeze(-1)
        again = torch.is_grad_enabled() and x.numel() > KEPT_NUMBERS
        for layer in self.encoder:
            x = checkpoint(layer, x, real, use_reentrant=False) if again else layer(x, real)
        logits: Tensor = self.head(batch._replace(vectors=x if real is None else x * real))
        return logits


class Basset(nn.Module):
    """Basset (Kelley et al. 2016, 10.1101/gr.200535.115) for windows of 512 bp.

    Three convolutions (300 of width 19, 200 of 11, 200 of 7), each with batch norm, ReLU and max-pooling (3, 4, 4),
    then two layers of 1,000 units with dropout, then one logit per label.

    Args:
        outputs: Labels.
        last_relu: Whether the second layer of 1,000 units has its non-linearity; the reference code forgot it.
    """

    def __init__(self, outputs: int, last_relu: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels, length = ONE_HOT, BASSET_WINDOW
        for filters, kernel, pool in ((300, 19, 3), (200, 11, 4), (200, 7, 4)):
            layers += [nn.Conv1d(channels, filters, kernel, padding="same"), nn.BatchNorm1d(filters)]
            layers += [nn.ReLU(), nn.MaxPool1d(pool)]
            channels, length = filters, length // pool
        self.convolutions = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * length, 1000),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(1000, 1000),
            nn.ReLU() if last_relu else nn.Identity(),
            nn.Dropout(0.3),
            nn.Linear(1000, outputs),
        )

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B, 1, outputs), float32.

        Raises:
            BendError: The windows are not of 512 bp.
        """
        length = batch.vectors.shape[1]
        if length != BASSET_WINDOW:
            raise BendError(f"Basset reads windows of {BASSET_WINDOW} bp, and these have {length}.")
        logits: Tensor = self.classifier(self.convolutions(batch.vectors.float().transpose(1, 2)))
        return logits.float()[:, None]


def resnet_supervised(task: Task, dim: int, protocol: Protocol) -> nn.Module:
    """Return the supervised ResNet for a task: 30 layers of 256 channels, kernel 9 (3 under ``bend-2024``).

    Raises:
        BendError: The task is zero-shot, or the vectors are not one-hot (`dim` is not 5).
    """
    _check("resnet-supervised", task, dim)
    head = cnn_head(task, WIDTH, protocol, seed=None, hidden=HEAD_WIDTH)
    return SupervisedResNet(head, kernel=protocol.resnet_kernel)


def basset(task: Task, dim: int, protocol: Protocol) -> nn.Module:
    """Return Basset for a task with labels of whole windows of 512 bp.

    Raises:
        BendError: The task is another, or the vectors are not one-hot (`dim` is not 5).
    """
    _check("basset", task, dim)
    if not task.kind.whole_windows or task.window != BASSET_WINDOW:
        raise BendError(
            f"basset is for tasks with labels of whole windows of {BASSET_WINDOW} bp (chromatin_accessibility, "
            f"histone_modification, cpg_methylation), and {task.name} is none; take resnet-supervised."
        )
    assert task.recipe is not None
    return Basset(task.recipe.outputs, protocol.basset_last_relu)


def _check(name: str, task: Task, dim: int) -> None:
    if task.recipe is None:
        raise BendError(f"{name} is trained on labels, and {task.name} is zero-shot: there is nothing to train.")
    if dim != ONE_HOT:
        raise BendError(
            f"{name} reads one-hot vectors (width {ONE_HOT}), and these are {dim} wide: use model 'onehot'."
        )
