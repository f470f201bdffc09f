"""The diagnosis says what the embedder does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny_models
import torch
from safetensors.torch import load_file, save_file
from tasks_of_ones_own import WINDOW, make_task, write_folder

from bend_hf.embed import doctor, examination
from bend_hf.embed.doctor import diagnose
from bend_hf.embed.embedder import Embedder
from bend_hf.embed.interface import Tokens
from bend_hf.errors import BendError
from bend_hf.tasks import TASKS, registry


@pytest.fixture(autouse=True)
def _brief(monkeypatch):
    monkeypatch.setattr(doctor, "SECONDS", 0.02)


@pytest.mark.parametrize(
    ("name", "density", "causal"), [("esm", 170, False), ("dnabert", 990, False), ("gpt2", 1000, True)]
)
def test_checkpoints(tmp_path, name, density, causal):
    found = diagnose(str(tiny_models.FAMILIES[name](tmp_path / name)), device="cpu")
    assert found.tokens_per_kilobase == pytest.approx(density, abs=1)
    assert (found.dim, found.causal, found.padding_safe) == (32, causal, True)
    assert "transformers'" in found.architecture
    assert [cost.task for cost in found.costs] == list(TASKS)
    assert all(rate > 0 for rate in found.speeds.values())
    chromatin = found.costs[2]
    assert chromatin.nucleotides == 2_062_129 * 512
    assert chromatin.store_bytes == pytest.approx(chromatin.nucleotides * density / 1000 * 66, rel=0.01)
    assert found.costs[-1].store_bytes is None
    text = found.text()
    assert "padding-safe" in text
    assert "yes, measured" in text
    assert f"{density} per kilobase" in text
    assert all(task in text for task in TASKS)


def test_costs_of_tasks_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setattr("bend_hf.tasks.registry.TASKS", dict(TASKS))
    monkeypatch.setattr(doctor, "TASKS", registry.TASKS)
    one = write_folder(tmp_path / "one", make_task("one", label_kind="window_class", metric="mcc"))
    fields = {"label_kind": "per_nucleotide_class", "label_names": ("weak", "strong"), "metric": "mcc"}
    varying = write_folder(tmp_path / "varying", make_task("varying", window=None, stranded=False, **fields))
    lines = (varying / "varying.bed").read_text().splitlines()
    chromosome, start, _, *rest = lines[1].split("\t")
    (varying / "varying.bed").write_text("\n".join([lines[0], "\t".join([chromosome, start, "7", *rest]), *lines[2:]]))
    found = diagnose("onehot", tasks=["gene_finding", one, varying])
    costs = {cost.task: cost for cost in found.costs}
    assert list(costs) == ["gene_finding", "one", "varying"]
    assert costs["one"].nucleotides == 120 * WINDOW
    assert costs["varying"].nucleotides == 119 * WINDOW + 7 - int(start)
    assert costs["one"].store_bytes == 120 * WINDOW * (2 * 5 + 2)
    assert "varying " in found.text()
    with pytest.raises(BendError, match=r"task\.json: there is no such file"):
        diagnose("no-such-model-either", tasks=tmp_path)


def test_protocol_and_options(tmp_path):
    folder = str(tiny_models.esm(tmp_path / "esm"))
    assert "abutting pieces of 5994 nt" in diagnose(folder, protocol="bend-2024").text()
    assert "share 122, stitched" in diagnose(folder).text()
    assert diagnose(folder, dtype="float32").dtype == "float32"


def test_others(tmp_path):
    assert "5 wide" in diagnose("onehot").text()
    found = diagnose(lambda sequences: ([torch.zeros(len(s), 7) for s in sequences], None))
    assert (found.dim, found.parameters) == (7, None)


def test_the_text_says_each_fact_that_is_known_and_no_other():
    known = {
        "scale": "deviations about 1",
        "channels": "3 dead",
        "ignored": ("pooler.weight", "head.weight"),
        "mock": "mcc 0.9",
        "licence": "MIT",
        "notes": "not for commerce",
    }
    none = {name: () if name == "ignored" else "" if name == "notes" else None for name in known}
    said = {"ignored": "left out", "mock": "mock task", "notes": "note"}
    bare = replace(diagnose("onehot"), **none)

    def lines(found):
        return dict(line.split("  ", 1) for line in found.text().partition("\n\n")[0].splitlines())

    for name, value in known.items():
        more = {label: text.strip() for label, text in lines(replace(bare, **{name: value})).items()}
        label = said.get(name, name)
        assert set(more) - set(lines(bare)) == {label}
        assert more[label].startswith("head.weight, pooler.weight" if name == "ignored" else value)
    assert "half precision: mean cosine 0.99900 to float32; of differences: rank correlation 0.500" in (
        replace(bare, agreement=0.999, differences=0.5).text()
    )


def test_what_is_missing(tmp_path):
    tiny_models.write(tmp_path / "empty", "config.json", {"model_type": "bert"})
    with pytest.raises(BendError, match="has no tokenizer"):
        diagnose(str(tmp_path / "empty"))


def test_what_a_person_can_check(tmp_path):
    """Ten tokens with their nucleotides, the vectors' rank, the scores that are possible, and a verdict."""
    text = diagnose(str(tiny_models.esm(tmp_path / "esm", lm=True)), device="cpu").text()
    assert "=ACGTTG " in text
    assert "=CATTAG " in text
    assert "likelihoods" in text
    assert text.splitlines()[-1] == "verdict: ready"


def test_constant_vectors_are_not_usable(tmp_path):
    folder = tiny_models.dnabert(tmp_path / "flat", k=3)
    state = load_file(folder / "model.safetensors")
    for name in ("weight", "bias"):
        state[f"encoder.layer.1.output.LayerNorm.{name}"] = torch.zeros(32)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    assert diagnose(str(folder), device="cpu").verdict.startswith("not usable: its vectors are the same")


@pytest.mark.filterwarnings("error")
def test_differences_that_half_precision_does_not_show_are_in_no_order():
    class Letters:
        """One number for a letter, or the same for all."""

        def __init__(self, exact):
            self.exact = exact

        def in_float32(self):
            return self.exact

        def embed(self, sequences):
            for text in sequences:
                vectors = [[float(ord(letter)) ** 2 if self.exact is None else 1.0] for letter in text]
                yield Tokens(torch.tensor(vectors), np.ones(len(text), np.int64))

    assert examination.differences(Letters(Letters(None)), tiny_models.dna(120, 4)) == 0.0


def test_half_precision_is_judged_by_differences(tmp_path, monkeypatch):
    """What bfloat16 does to small differences, which a cosine of vectors does not show."""
    folder = str(tiny_models.gpt2(tmp_path / "gpt2"))
    assert diagnose(folder, device="cpu", dtype="float32").differences is None
    embedder = Embedder.from_pretrained(folder, device="cpu")
    if embedder.dtype == "float32":
        pytest.skip("no half precision on this processor")
    assert 0.5 < examination.differences(embedder, tiny_models.dna(120, 4)) <= 1
    monkeypatch.setattr(
        Embedder, "in_float32", lambda self: Embedder.from_pretrained(folder, dtype="float32", device="cpu")
    )
    exact = Embedder.from_pretrained(folder, dtype="float32", device="cpu")
    assert examination.differences(exact, tiny_models.dna(120, 4)) == pytest.approx(1)


def test_dead_and_wild_channels_are_counted():
    random = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    assert examination.channels_text(random) is None
    random[:, 2] = 3.0
    random[:, 5] *= 50
    text = examination.channels_text(random)
    assert text.startswith("1 of 8 channels never change; 1 of 8 channels deviate by up to ")
    assert 40 < int(text.split("up to ")[1].split()[0]) < 60


def test_the_rank_is_that_of_what_varies():
    random = torch.Generator().manual_seed(0)
    vectors = torch.randn(100, 3, generator=random) @ torch.randn(3, 20, generator=random) + 7
    assert examination.rank_of(vectors) == 3
    assert examination.rank_of(torch.ones(10, 4)) == 0


def test_a_callable_with_likelihoods_and_a_dead_channel():
    def model(sequences):
        return [torch.tensor([[ord(c), ord(c) % 7, 1.0] for c in s]) for s in sequences], None

    model.log_likelihood = lambda sequences: [0.0] * len(sequences)
    found = diagnose(model)
    assert found.zero_shot[-1] == "likelihoods (its own)"
    assert found.channels == "1 of 3 channels never change"
    assert "its own code; 1 of 3 channels never change" in found.verdict
