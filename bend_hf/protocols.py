"""Two protocols as data: `default` is BEND done right, `bend-2024` reproduces the reference code for comparison.

A result names its protocol, and the two are never mixed in one column. The defects (B1 …) are those of the reference
implementation at commit ac6e80c that change a number; each is one field here, and nothing else in the package asks
which protocol it runs under.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bend_hf.errors import unknown


@dataclass(frozen=True)
class Protocol:
    """How embeddings are cut, heads are trained and variants are read.

    Attributes:
        name: As recorded in results.
        windows: Long inputs are cut into overlapping windows and stitched, or into abutting pieces.
        shuffle_buffer: By task, samples in the shuffling buffer over genome-ordered files (B20); None for a full
            shuffle.
        kmer_shift: Overlapping k-mers are upsampled as the reference does for k = 5, 6: the second copy of the first
            vector lies behind the sequence (B3).
        causal_variant_shift: Bases by which the window of causal models ends before the variant (B1).
        resnet_kernel: Kernel width of the supervised ResNet (9, or 3 through the reference's config merge: B25).
        basset_last_relu: Whether Basset has its non-linearity between the last two linear layers (B26).
        padding_reaches_head: Whether what pads a batch enters the head's convolutions behind a sequence's end.
        loader_workers: By task, the loader's workers, which read files side by side and deliver batches in turn (B20).
        shard_rows: Rows of such a file (B20); None for any number.
        onehot_padding: Nucleotide that shorter one-hot sequences are padded with, ``""`` for zeros. The reference pads
            the integers it makes one-hot vectors of with 0, which is A (B22).
        gpu_precision: What heads are trained in on a GPU, unless `precision` says otherwise; ``auto`` is bf16 where
            the GPU has it and fp16 on others. The reference is wired to fp16 (B28).
        exact_validation: Whether heads are validated and tested in float32, whatever they are trained in (B28).
        split_specials: Whether the special tokens of DNABERT and of the Nucleotide Transformer are put around a text
            before it is split every 512 (1,000, 2,048) ids, so that later pieces carry none (B4, B6).
        nucleotide_pieces: Whether the models that the reference cuts in nucleotides are cut there: the Nucleotide
            Transformer every 5,994 (12,282), DNABERT-2 every 10,000 and nowhere else, HyenaDNA every 1,024 (32,768 …),
            Caduceus every 131,072.
        reference_specials: Whether HyenaDNA is given ``[CLS] … [SEP]`` and Caduceus no special tokens, whatever their
            tokenizers say.
        dtype: What ``dtype="auto"`` means for token vectors; the reference computes them in float32.
        kept_vectors: What ``vectors="auto"`` means for kept token vectors; the reference keeps float32.
    """

    name: str
    windows: Literal["overlap", "abut"]
    shuffle_buffer: Mapping[str, int] | None
    kmer_shift: bool
    causal_variant_shift: int
    resnet_kernel: int
    basset_last_relu: bool
    padding_reaches_head: bool
    loader_workers: Mapping[str, int] | None
    shard_rows: int | None
    onehot_padding: Literal["", "A"]
    gpu_precision: Literal["auto", "fp16"]
    exact_validation: bool
    split_specials: bool
    nucleotide_pieces: bool
    reference_specials: bool
    dtype: Literal["auto", "float32"]
    kept_vectors: Literal["auto", "float32"]


_BUFFERS = {
    "gene_finding": 1000,
    "enhancer_annotation": 100,
    "chromatin_accessibility": 1000,
    "histone_modification": 200,
    "cpg_methylation": 200,
}
_WORKERS = {
    "gene_finding": 0,
    "enhancer_annotation": 2,
    "chromatin_accessibility": 8,
    "histone_modification": 32,
    "cpg_methylation": 0,
}

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="default",
            windows="overlap",
            shuffle_buffer=None,
            kmer_shift=False,
            causal_variant_shift=0,
            resnet_kernel=9,
            basset_last_relu=True,
            padding_reaches_head=False,
            loader_workers=None,
            shard_rows=None,
            onehot_padding="",
            gpu_precision="auto",
            exact_validation=False,
            split_specials=False,
            nucleotide_pieces=False,
            reference_specials=False,
            dtype="auto",
            kept_vectors="auto",
        ),
        Protocol(
            name="bend-2024",
            windows="abut",
            shuffle_buffer=_BUFFERS,
            kmer_shift=True,
            causal_variant_shift=1,
            resnet_kernel=3,
            basset_last_relu=False,
            padding_reaches_head=True,
            loader_workers=_WORKERS,
            shard_rows=50_000,
            onehot_padding="A",
            gpu_precision="fp16",
            exact_validation=True,
            split_specials=True,
            nucleotide_pieces=True,
            reference_specials=True,
            dtype="float32",
            kept_vectors="float32",
        ),
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
