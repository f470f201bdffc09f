"""Callables as models: told apart by what they compute, in whatever arrays they answer, cut and filled up for them."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tiny_models
import torch

from bend_hf.embed.adapters import CallableEmbedder
from bend_hf.embed.rules import LETTERS
from bend_hf.errors import BendError

VALUES = {letter: index + 1.0 for index, letter in enumerate(LETTERS)}


def one_by_one(sequences):
    return [np.array([[VALUES[c], 1.0] for c in s]) for s in sequences], None


def with_attributes(function=one_by_one, **attributes):
    def model(sequences):
        return function(sequences)

    for name, value in attributes.items():
        setattr(model, name, value)
    return model


def per_nucleotide(embedder, sequence):
    tokens = next(embedder.embed([sequence]))
    return tokens.vectors.repeat_interleave(torch.from_numpy(tokens.lengths), 0)


def letters(sequence):
    return [VALUES[c] for c in sequence]


# Identity.


def test_two_functions_of_one_name_have_two_keys():
    def made(factor):
        def model(sequences):
            return [factor * vectors for vectors in one_by_one(sequences)[0]], None

        return model

    one, same, other = (CallableEmbedder(made(factor)).provenance()["key"] for factor in (1, 1, 1.001))
    assert one == same
    assert one != other


@pytest.mark.parametrize("kind", ["function", "partial", "method", "object"])
def test_what_short_probes_do_not_show_has_another_key(kind):
    """Functions of one name that differ beyond 512 nucleotides, beyond all probes, or at an N alone."""

    class Cut:
        def __init__(self, size, unknown):
            self.size, self.unknown = size, unknown

        def run(self, sequences):
            return cut(sequences, self.size, self.unknown)

        __call__ = run

    def cut(sequences, size, unknown):
        values = [np.array([unknown if letter == "N" else VALUES[letter] for letter in text]) for text in sequences]
        sums = [np.concatenate([row[i : i + size].cumsum() for i in range(0, len(row), size)]) for row in values]
        return [np.stack([one, other], 1) for one, other in zip(values, sums, strict=True)], None

    def made(size, unknown=0.0):
        def model(sequences):
            return cut(sequences, size, unknown)

        thing = Cut(size, unknown)
        called = functools.partial(cut, size=size, unknown=unknown)
        return {"function": model, "partial": called, "method": thing.run, "object": thing}[kind]

    def key(*settings):
        return CallableEmbedder(made(*settings), name="mine").provenance()["key"]

    assert key(512) == key(512)
    assert key(512) != key(1_024)
    assert key(512) != key(512, 9.0)
    if kind in ("function", "partial"):  # what an object holds may count its calls
        assert key(4_096) != key(8_192)


def test_a_callable_need_take_no_hard_probe():
    def model(sequences):
        if any("N" in text or len(text) > 512 for text in sequences):
            raise ValueError("none of these")
        return one_by_one(sequences)[0], None

    embedder = CallableEmbedder(model, batch=7)
    assert embedder.batch == 7
    assert embedder.provenance()["key"] == CallableEmbedder(model).provenance()["key"]


@pytest.mark.parametrize(
    "attributes",
    [{"causal": True}, {"version": "2"}, {"name": "other"}, {"context": 128}, {"multiple_of": 4}],
)
def test_what_else_enters_the_key(attributes):
    keys = [CallableEmbedder(with_attributes(**given)).provenance()["key"] for given in ({}, attributes)]
    assert keys[0] != keys[1]


# Answers.


BINS = {
    "lists": lambda runs: [list(map(int, r)) for r in runs],
    "arrays": lambda runs: [np.array(r, np.int32) for r in runs],
    "tensors": lambda runs: [torch.tensor(r) for r in runs],
    "one array": lambda runs: np.array(runs) if len({len(r) for r in runs}) == 1 else runs,
    "one tensor": lambda runs: torch.tensor(runs) if len({len(r) for r in runs}) == 1 else runs,
    "floats": lambda runs: [np.array(r, np.float64) for r in runs],
}


@pytest.mark.parametrize("form", BINS)
@pytest.mark.parametrize("stacked", [False, True])
def test_run_lengths_come_in_any_array(form, stacked):
    def binned(sequences):
        runs = [[8] * (len(s) // 8) + ([len(s) % 8] if len(s) % 8 else []) for s in sequences]
        vectors = [torch.arange(float(len(r)))[:, None].expand(-1, 3) for r in runs]
        if stacked and len({len(r) for r in runs}) == 1:
            vectors = torch.stack(vectors)
        return vectors, BINS[form](runs)

    embedder = CallableEmbedder(binned)
    found = list(embedder.embed(["ACGT" * 5, "ACGT" * 5]))
    assert [tokens.lengths.tolist() for tokens in found] == [[8, 8, 4]] * 2
    assert [tokens.vectors[:, 0].tolist() for tokens in found] == [[0, 1, 2]] * 2


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda s: ([np.ones((len(x), 2)) for x in s], [[0.5] * len(x) for x in s]), "no whole numbers"),
        (lambda s: ([np.ones((len(x), 2)) for x in s], [[[1] * len(x)] for x in s]), "no whole numbers"),
        (lambda s: ([np.ones((len(x), 2)) for x in s], [[1]]), "run lengths for each|sum to"),
        (lambda s: ([np.full((len(x), 2), 1j) for x in s], None), "complex"),
        (lambda s: ([["A"] * len(x) for x in s], None), "no arrays of numbers"),
        (lambda s: [np.ones((len(x), 2)) for x in s], "want \\(vectors, lengths\\)"),
        (lambda s: None, "want \\(vectors, lengths\\)"),
    ],
)
def test_bad_answers(result, message):
    with pytest.raises(BendError, match=message):
        CallableEmbedder(result, name="mine")


def test_a_failure_names_the_model_and_the_sequence(caplog):
    def failing(sequences):
        if any("N" in s for s in sequences):
            raise ValueError("what is N?")
        return one_by_one(sequences)

    embedder = CallableEmbedder(failing)
    with pytest.raises(BendError, match=r"failing failed on sequence 2 \(5 nucleotides, ACNGT…\): ValueError"):
        list(embedder.embed(["ACGT", "ACG", "ACNGT", "A"]))


def test_a_failure_on_a_batch_alone_goes_on_one_by_one(caplog):
    asked = []

    def crowded(sequences):
        asked.append(len(sequences))
        if len(sequences) > 3:
            raise MemoryError("too many")
        return one_by_one(sequences)

    embedder = CallableEmbedder(crowded)
    found = list(embedder.embed(["ACGT"] * 5))
    assert [tokens.vectors[:, 0].tolist() for tokens in found] == [[1, 2, 3, 4]] * 5
    assert "going on one by one" in caplog.text
    asked.clear()
    assert len(list(embedder.embed(["ACGT"] * 5))) == 5
    assert asked == [1] * 5  # it is not tried with several again


@pytest.mark.parametrize("fails", [False, True])
def test_answers_in_memory_that_the_next_call_writes_over(fails):
    """As of a callable that fills one array again and again, or of a session with outputs bound to it."""
    held = np.zeros((64, 4_096, 2))

    def model(sequences):
        if fails and len(sequences) > 1:
            raise ValueError("one at a time")
        for row, (vectors, text) in enumerate(zip(one_by_one(sequences)[0], sequences, strict=True)):
            held[row, : len(text)] = vectors
        return [held[row, : len(text)] for row, text in enumerate(sequences)], None

    generator = np.random.default_rng(0)
    texts = ["".join(generator.choice(list("ACGT"), 50)) for _ in range(40)]
    embedder = CallableEmbedder(model)
    beside = zip(embedder.embed(texts), embedder.embed(texts[::-1]), strict=True)
    for found in (list(embedder.embed(texts)), [one for one, _ in beside]):
        assert [tokens.vectors[:, 0].tolist() for tokens in found] == [letters(text) for text in texts]


@pytest.mark.parametrize("factor", [1e-30, 1e-12, 1.0, 1e12, 1e30])
def test_vectors_of_any_scale_are_taken_and_padding_is_found_in_them(factor):
    def sound(sequences):
        return [factor * vectors for vectors in one_by_one(sequences)[0]], None

    def padded(sequences):
        longest = max(map(len, sequences))
        share = [1 - len(text) / longest for text in sequences]
        vectors = [v + np.array([0.0, 9.0 * part]) for v, part in zip(one_by_one(sequences)[0], share, strict=True)]
        return [factor * v for v in vectors], None

    found = next(CallableEmbedder(sound).embed(["ACGT"])).vectors[:, 0] / factor
    assert found.tolist() == pytest.approx(letters("ACGT"), rel=1e-5)
    with pytest.raises(BendError, match="padding reaches them"):
        CallableEmbedder(padded)


def test_chance_and_padding_are_found():
    random = np.random.default_rng(0)
    with pytest.raises(BendError, match="two answers for one input"):
        CallableEmbedder(lambda s: ([random.normal(size=(len(x), 4)) for x in s], None), name="mine")

    def leaking(sequences):
        longest = max(map(len, sequences))
        return [np.array([[VALUES[c], longest - len(s)] for c in s]) for s in sequences], None

    with pytest.raises(BendError, match="padding reaches them"):
        CallableEmbedder(leaking)


# Prefix, context, multiples.


def noted(seen, **attributes):
    def model(sequences):
        seen.extend(sequences)
        return [np.array([[VALUES.get(c, 0.0), 1.0] for c in s]) for s in sequences], None

    return with_attributes(model, **attributes)


def test_a_prefix_stands_before_every_sequence_and_its_vectors_are_dropped():
    seen = []
    embedder = CallableEmbedder(noted(seen, prefix="<dna>"))
    sequence = tiny_models.dna(50)
    assert per_nucleotide(embedder, sequence)[:, 0].tolist() == letters(sequence)
    assert seen[-1] == f"<dna>{sequence}"


@pytest.mark.parametrize("length", [1, 7, 8, 9, 100])
def test_sequences_are_filled_up_to_a_multiple(length):
    seen = []

    def binned(sequences):
        seen.extend(sequences)
        assert all(len(s) % 8 == 0 for s in sequences)
        bins = [np.array(letters(s)).reshape(-1, 8)[:, :1] for s in sequences]
        return bins, [np.full(len(b), 8) for b in bins]

    embedder = CallableEmbedder(with_attributes(binned, multiple_of=8))
    sequence = tiny_models.dna(length)
    [tokens] = embedder.embed([sequence])
    assert tokens.lengths.tolist() == [8] * (length // 8) + ([length % 8] if length % 8 else [])
    assert tokens.vectors[:, 0].tolist() == letters(sequence)[::8]
    assert seen[-1] == sequence + "N" * (-length % 8)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("policy", ["overlap", "abut"])
@pytest.mark.parametrize(("prefix", "multiple"), [("", 1), ("<dna>", 1), ("", 16), ("<s>", 16)])
def test_longer_sequences_are_cut_and_stitched(causal, policy, prefix, multiple):
    seen = []
    model = noted(seen, context=70, prefix=prefix, multiple_of=multiple, causal=causal)
    embedder = CallableEmbedder(model, policy=policy)
    for length in (1_001, 64, 48, 3):
        sequence = tiny_models.dna(length, 9)
        assert per_nucleotide(embedder, sequence)[:, 0].tolist() == letters(sequence)
    assert max(map(len, seen)) <= 70
    assert all(text.startswith(prefix) and (len(text) - len(prefix)) % multiple == 0 for text in seen)


def test_overlapping_windows_give_a_local_model_what_it_gives_uncut():
    def neighbours(sequences):
        padded = [np.pad(letters(s), 2) for s in sequences]
        return [np.stack([p[i : len(p) - 4 + i] for i in range(5)], 1) for p in padded], None

    whole, cut = CallableEmbedder(neighbours), CallableEmbedder(with_attributes(neighbours, context=64))
    sequence = tiny_models.dna(900, 3)
    assert torch.equal(per_nucleotide(cut, sequence), per_nucleotide(whole, sequence))


@pytest.mark.parametrize("attributes", [{"context": 0}, {"multiple_of": 1.5}, {"context": True}])
def test_bad_attributes(attributes):
    with pytest.raises(BendError, match="must be a positive number"):
        CallableEmbedder(with_attributes(**attributes))
    with pytest.raises(BendError, match="leaves no room"):
        CallableEmbedder(with_attributes(context=4, prefix="<dna>"))


# Likelihoods.


def test_likelihoods_of_its_own():
    def counted(sequences):
        return torch.tensor([-1.0 * s.count("A") for s in sequences])

    embedder = CallableEmbedder(with_attributes(log_likelihood=counted))
    assert embedder.log_likelihood(["AACA", "CC"]).tolist() == [-3.0, 0.0]
    assert CallableEmbedder(one_by_one).log_likelihood is None
    for bad, message in ((lambda s: [float("nan")] * len(s), "one finite"), (lambda s: 1 / 0, "ZeroDivisionError")):
        with pytest.raises(BendError, match=message):
            CallableEmbedder(with_attributes(log_likelihood=bad)).log_likelihood(["A"])
