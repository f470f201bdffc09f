"""What `evaluate` records of seeds: failures of their own, what they vary, and standardised vectors."""

import math

import pytest
import torch

import bend_hf
from bend_hf.errors import BendError
from bend_hf.results.conditions import departures
from bend_hf.results.record import read_results
from bend_hf.train import fit as fitting
from bend_hf.train.head import cnn_head

WILD = 90


def evaluate(toy_dir, output, **options):
    return bend_hf.evaluate("onehot", "cpg_methylation", data_dir=toy_dir, epochs=1, output=output, **options)


def test_a_seed_that_diverges_fails_alone_and_is_tried_again(toy_dir, tmp_path, monkeypatch):
    def changed_head(*arguments, **options):
        head = cnn_head(*arguments, **options)
        if arguments[3] == WILD:
            torch.nn.init.constant_(head.linear.bias, math.nan)
        return head

    [alone] = evaluate(toy_dir, tmp_path / "alone", seeds=(0,))
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "cnn_head", changed_head)
        wild, beside = evaluate(toy_dir, tmp_path / "both", seeds=(WILD, 0))
    assert (wild.seed, wild.score) == (WILD, None)
    assert "the loss became nan in epoch 1, batch 1 (seed 90)" in wild.failure
    assert (beside.score, beside.failure) == (alone.score, None)
    assert [bool(result.failure) for result in read_results(tmp_path / "both")] == [False, True]
    kept, made = evaluate(toy_dir, tmp_path / "both", seeds=(0, WILD))
    assert kept.provenance == beside.provenance
    assert made.failure is None
    assert made.score is not None


def test_what_seeds_vary_is_part_of_a_run(toy_dir, tmp_path):
    scores = {}
    for options in ({}, {"vary": "order"}, {"vary": "both"}, {"sampling_seed": 1}, {"standardize": True}):
        [result] = evaluate(toy_dir, tmp_path, seeds=(1,), overwrite=False, **options)
        settings = result.provenance["settings"]
        for name, standard in (("vary", "init"), ("sampling_seed", 0), ("standardize", False)):
            assert settings[name] == options.get(name, standard)
        scores[str(options)] = (result.score, result.history[0]["train_loss"])
        said = "trained for 1 epoch instead of the recipe's 100"
        if options.get("standardize"):
            said += ", vectors standardized over the training rows"
        assert departures([result]) == said
    assert len(set(scores.values())) == len(scores)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"vary": "all"}, "Unknown choice of what seeds vary 'all'"), ({"sampling_seed": -1}, "sampling_seed=-1")],
)
def test_bad_choices_are_refused_at_once(toy_dir, tmp_path, options, message):
    with pytest.raises(BendError, match=message):
        evaluate(toy_dir, tmp_path, **options)
    assert not list(tmp_path.iterdir())
