"""Two protocols as data: `default` is BEND done right, `bend-2024` reproduces the reference code for comparison.

A result names its protocol, and the two are never mixed in one column. The defects (B1 …) are those of the reference
implementation at commit ac6e80c that change a number; each is one field here, and nothing else in the package asks
which protocol it runs under.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bend_hf.errors import unknown


@dataclass(frozen=True)
class Protocol:
    """How embeddings are cut, heads are trained and variants are read.

    Attributes:
        name: As recorded in results.
        windows: Long inputs are cut into overlapping windows and stitched, or into abutting pieces.
        shuffle_buffer: Samples in the shuffling buffer over genome-ordered shards (B20); None for a full shuffle.
        kmer_shift: Overlapping k-mers are upsampled as the reference does for k = 5, 6: the second copy of the first
            vector lies behind the sequence (B3).
        causal_variant_shift: Bases by which the window of causal models ends before the variant (B1).
        resnet_kernel: Kernel width of the supervised ResNet (9, or 3 through the reference's config merge: B25).
        basset_last_relu: Whether Basset has its non-linearity between the last two linear layers (B26).
        padding_reaches_head: Whether the zeros that pad a batch enter the head's convolutions behind a sequence's end.
    """

    name: str
    windows: Literal["overlap", "abut"]
    shuffle_buffer: int | None
    kmer_shift: bool
    causal_variant_shift: int
    resnet_kernel: int
    basset_last_relu: bool
    padding_reaches_head: bool


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("default", "overlap", None, False, 0, 9, True, False),
        Protocol("bend-2024", "abut", 1000, True, 1, 3, False, True),
    )
}


def get_protocol(name: str) -> Protocol:
    """Return a protocol by name.

    Raises:
        BendError: The name is unknown; the message lists the choices.
    """
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
