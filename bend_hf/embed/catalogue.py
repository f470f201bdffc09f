"""Models as data: the BEND paper's and newer ones, by short name; and what cannot be found out about them by trying.

    resolve("nt-v2-500m").source         # 'InstaDeepAI/nucleotide-transformer-v2-500m-multi-species'
    resolve("./my-model").source         # folders, files and Hub ids are themselves

What a model is good for, how it reads DNA and whether it is causal is found out when it is loaded (`network`); the
entries add where it lies, its licence and the context of models that do not state it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bend_hf.errors import BendError, unknown
from bend_hf.models.checkpoint import TENSORS

SHARE_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "pytorch_model.bin",
)
BEND_FILES = "https://sid.erda.dk/share_redirect/dbQM0pgSlM/pretrained_models"


@dataclass(frozen=True)
class Entry:
    """One model.

    Attributes:
        source: Hub id, or the URL of a folder of files.
        paper: Its name in the BEND paper's code; None for later models.
        width: Channels of a vector.
        causal: Whether tokens see their left side only.
        tokens: How it reads DNA.
        licence: Of the weights, as their authors state it (on the model's card, in a licence file beside the weights,
            or where else the notes say); None where they state none, or what they state has not been seen. The
            licence of the code does not count.
        context: Most tokens at once, where the checkpoint does not say it.
        revision: Commit on the Hub to use; None for the newest (the result records which it was).
        notes: What a user should know.
    """

    source: str
    paper: str | None
    width: int
    causal: bool
    tokens: str
    licence: str | None = None
    context: int | None = None
    revision: str | None = None
    notes: str = ""


GENA_LICENCE = "its card states no licence (its code is under MIT)"

# What the models of a family share.


def _nt(size: str, width: int, paper: str | None = None, tokens: str = "6-mers", revision: str | None = None) -> Entry:
    return Entry(
        f"InstaDeepAI/nucleotide-transformer-{size}",
        paper,
        width,
        False,
        tokens,
        "CC BY-NC-SA 4.0",
        revision=revision,
    )


def _gena(name: str, width: int, revision: str, paper: str | None = None, notes: str = GENA_LICENCE) -> Entry:
    return Entry(f"AIRI-Institute/gena-lm-{name}", paper, width, False, "BPE", revision=revision, notes=notes)


def _hyena(name: str, width: int, revision: str, paper: str | None = None) -> Entry:
    source = f"LongSafari/hyenadna-{name}-hf"
    return Entry(source, paper, width, True, "characters", "BSD-3-Clause", revision=revision)


def _caduceus(name: str, context: int, revision: str, licence: str | None = None) -> Entry:
    twice = name.startswith("ps")
    return Entry(
        f"kuleshov-group/caduceus-{name}",
        None,
        512 if twice else 256,
        False,
        "characters",
        licence,
        context,
        revision,
        'strand="average" folds the two strands of its channels into 256' if twice else "pure torch: slow on a CPU",
    )


def _generator(name: str, width: int, revision: str) -> Entry:
    return Entry(f"GenerTeam/GENERator-{name}-base", None, width, True, "6-mer blocks", "MIT", revision=revision)


CATALOGUE: dict[str, Entry] = {
    "resnetlm": Entry(
        f"{BEND_FILES}/convnet",
        "resnetlm",
        256,
        False,
        "characters",
        notes="BEND's own dilated ConvNet; not on the Hub, downloaded from BEND's share",
    ),
    "awdlstm": Entry(
        f"{BEND_FILES}/awd_lstm",
        "awdlstm",
        64,
        True,
        "characters",
        notes="BEND's own recurrent model; not on the Hub, downloaded from BEND's share",
    ),
    "nt-500m-human-ref": _nt("500m-human-ref", 1280, "nt_transformer_human_ref"),
    "nt-500m-1000g": _nt("500m-1000g", 1280),
    "nt-2.5b-1000g": _nt("2.5b-1000g", 2560, "nt_transformer_1000g"),
    "nt-2.5b-multi-species": _nt(
        "2.5b-multi-species", 2560, "nt_transformer_ms", revision="b746b125aacd1b0970c05a32fd71ba726754542e"
    ),
    "nt-v2-50m": _nt("v2-50m-multi-species", 512, revision="81b29e5786726d891dbf929404ef20adca5b36f1"),
    "nt-v2-50m-3mer": _nt(
        "v2-50m-3mer-multi-species", 512, tokens="3-mers", revision="ff82eaf931e483feeb6bf7ecf03f1febe6b2fe76"
    ),
    "nt-v2-100m": _nt("v2-100m-multi-species", 512, revision="f34324c6fde36a4f635f0f1f06cac5d25acd6798"),
    "nt-v2-250m": _nt("v2-250m-multi-species", 768, revision="c0f0359229f36ff6bc3a021247eefe0a9c344bd1"),
    "nt-v2-500m": _nt(
        "v2-500m-multi-species", 1024, "nt_transformer_v2_500m", revision="06615c1660c892fc199840c18123f8385b3542a8"
    ),
    "dnabert-6": Entry(
        "zhihan1996/DNA_bert_6",
        "dnabert6",
        768,
        False,
        "overlapping 6-mers",
        revision="55e0c0eb7b734c8b9b77bc083bf89eb6fbda1341",
    ),
    "dnabert-5": Entry("zhihan1996/DNA_bert_5", None, 768, False, "overlapping 5-mers"),
    "dnabert-4": Entry("zhihan1996/DNA_bert_4", None, 768, False, "overlapping 4-mers"),
    "dnabert-3": Entry("zhihan1996/DNA_bert_3", None, 768, False, "overlapping 3-mers"),
    "dnabert-2": Entry(
        "zhihan1996/DNABERT-2-117M",
        "dnabert2",
        768,
        False,
        "BPE",
        "Apache-2.0",
        revision="7bce263b15377fc15361f52cfab88f8b586abda0",
    ),
    "dnabert-s": Entry(
        "zhihan1996/DNABERT-S",
        None,
        768,
        False,
        "BPE",
        "Apache-2.0",
        revision="00e47f96cdea35e4b6f5df89e5419cbe47d490c6",
    ),
    "gena-lm-bert-base-t2t": _gena("bert-base-t2t", 768, "4f1352bd4e820f1dba341047f54ad7795e083bf2"),
    "gena-lm-bert-base-lastln-t2t": _gena("bert-base-lastln-t2t", 768, "3177322cb31140be33a692bfb968263cbd3ef89a"),
    "gena-lm-bert-base-t2t-multi": _gena("bert-base-t2t-multi", 768, "4633e5a1ada905bb7afee6877d71cc12578a95a5"),
    "gena-lm-bert-large-t2t": _gena(
        "bert-large-t2t", 1024, "f997a8a7c1ba5feb6d11de46354a41c51ffe9660", "gena-lm-bert-large-t2"
    ),
    "gena-lm-bigbird-base-t2t": _gena(
        "bigbird-base-t2t",
        768,
        "f155a24ef5cefd7218a1e4c6888aedb574509cc3",
        "gena-lm-bigbird-base-t2t",
        f"run with full attention, so that no result depends on what was embedded before; {GENA_LICENCE}",
    ),
    "moderngena-base": Entry("AIRI-Institute/moderngena-base", None, 768, False, "BPE"),
    "moderngena-large": Entry("AIRI-Institute/moderngena-large", None, 1024, False, "BPE"),
    "hyenadna-tiny-1k": _hyena("tiny-1k-seqlen", 128, "e8c1effa8673814e257e627d2e1eda9ea5a373f6", "hyenadna-tiny-1k"),
    "hyenadna-tiny-1k-d256": _hyena("tiny-1k-seqlen-d256", 256, "6036d4e144922b44470294f510cbfd2539ba3b7e"),
    "hyenadna-tiny-16k-d128": _hyena("tiny-16k-seqlen-d128", 128, "d79fa37e2cd62dd338103c630f95be8f90812d46"),
    "hyenadna-small-32k": _hyena(
        "small-32k-seqlen", 256, "8fe770c78eb13fe33bf81501612faeddf4d6f331", "hyenadna-small-32k"
    ),
    "hyenadna-medium-160k": _hyena(
        "medium-160k-seqlen", 256, "7ebf71773d22c0ede2cc55cb2be15ee8c289e1ce", "hyenadna-medium-160k"
    ),
    "hyenadna-medium-450k": _hyena(
        "medium-450k-seqlen", 256, "42dedd4d374eac0fb8168549e546a3472fbd27ae", "hyenadna-medium-450k"
    ),
    "hyenadna-large-1m": _hyena(
        "large-1m-seqlen", 256, "0a629abf9c7f85b4ec9aa6a1aefa3adcf1907446", "hyenadna-large-1m"
    ),
    "grover": Entry(
        "PoetschLab/GROVER",
        "grover",
        768,
        False,
        "BPE",
        "CC BY 4.0",
        revision="6b223110f0d6963e849f55bc2a2f3cff0e38c7a4",
        notes="the licence is that of the same weights on Zenodo (10.5281/zenodo.8373117); the Hub's card states none",
    ),
    "caduceus-ph": _caduceus(
        "ph_seqlen-131k_d_model-256_n_layer-16", 131_072, "b0477522ac5d044ad03578aa724ec8e4bdbd405b"
    ),
    "caduceus-ps": _caduceus(
        "ps_seqlen-131k_d_model-256_n_layer-16", 131_072, "d89eeb853136ea64da7feb3d0c8e909771b17ae6", "Apache-2.0"
    ),
    "caduceus-ph-1k": _caduceus(
        "ph_seqlen-1k_d_model-256_n_layer-4_lr-8e-3", 1_024, "9865108985311772704c2ece0bac082153a6167b"
    ),
    "caduceus-ps-1k": _caduceus(
        "ps_seqlen-1k_d_model-256_n_layer-4_lr-8e-3", 1_024, "2de36509b76b4395a97bfa39acafeb6f17b537c5"
    ),
    "gpn-brassicales": Entry(
        "songlab/gpn-brassicales",
        None,
        512,
        False,
        "characters",
        "MIT",
        revision="eb9c35d0d18571abe84390d22e74f2b21d319ce3",
        notes="trained on plants",
    ),
    "gpn-animal-promoter": Entry(
        "songlab/gpn-animal-promoter",
        None,
        1024,
        False,
        "characters",
        "MIT",
        revision="7cf3276a03b5e243efd421b8939ed3d1e7dcf9cc",
        notes="trained on windows of 512 nucleotides around promoters",
    ),
    "generator-1.2b": _generator("eukaryote-1.2b", 2048, "5e872c94264891f9adf59d8ea64e426bb68badb5"),
    "generator-3b": _generator("eukaryote-3b", 3072, "7515b17659f092997335226c3fb6aafd06c0add9"),
    "generator-v2-1.2b": _generator("v2-eukaryote-1.2b", 2048, "c41b0018da9ee13b9e96ee54647de8da381ccd72"),
    "generator-v2-3b": _generator("v2-eukaryote-3b", 3072, "7dc01bccce5b65e15141170538afdc2ff09d8dde"),
}


@dataclass(frozen=True)
class Found:
    """What a name stands for: a display name, a source to load, and what the catalogue adds to it."""

    name: str
    source: str
    revision: str | None = None
    context: int | None = None


def resolve(name: str) -> Found:
    """Return the model behind a catalogue name (or its name in the BEND paper's code), a Hub id, a folder or a file.

    Raises:
        BendError: It is none of them; the message has the nearest catalogue name. Or it is a catalogue name, and a
            folder with a model here as well.
    """
    aliases = {entry.paper: key for key, entry in CATALOGUE.items() if entry.paper}
    key = aliases.get(name, name)
    if key in CATALOGUE and any((Path(name) / file).is_file() for file in ("config.json", "adapter_config.json")):
        raise BendError(
            f"{name!r} is a model of the catalogue, and a folder here holds one too: write ./{name} for the folder, or "
            f"rename it for the catalogue's ({CATALOGUE[key].source})."
        )
    if key not in CATALOGUE:
        hubs = {entry.source: known for known, entry in CATALOGUE.items()}
        if name in hubs:
            key = hubs[name]
        elif name and Path(name).expanduser().exists():
            return Found(Path(name).name or name, str(Path(name).expanduser()))
        elif "/" in name or "\\" in name or name.endswith(TENSORS):
            return Found(name, name)
        else:
            raise unknown("model", name, ["onehot", *CATALOGUE])
    entry = CATALOGUE[key]
    if entry.source.startswith("https://"):
        return Found(key, str(fetch(key)), context=entry.context)
    return Found(name if "/" in name else key, entry.source, entry.revision, entry.context)


def fetch(name: str) -> Path:
    """Download the files of a model that is on no Hub into the cache (once), and return their folder.

    Raises:
        BendError: The files cannot be had.
    """
    from bend_hf.data import download
    from bend_hf.files import cache_dir

    root, folder = CATALOGUE[name].source, cache_dir("models", name)
    for file in SHARE_FILES:
        download.fetch(f"{root}/{file}", folder / file)
    return folder
