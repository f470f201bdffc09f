"""The mock task at the end of a diagnosis: done, or the reason why the model is not usable."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest

from bend_hf import trial
from bend_hf.data import toy
from bend_hf.embed import doctor


@pytest.fixture(autouse=True)
def _brief(monkeypatch):
    monkeypatch.setattr(doctor, "SECONDS", 0.02)
    monkeypatch.setattr("bend_hf.trial.WINDOWS", (2, 2))


def letters(sequences):
    return [np.array([["ACGTN".index(c) == i for i in range(5)] for c in s], np.float32) for s in sequences], None


def test_a_model_does_what_it_is_said_to_do():
    found = trial.examine(letters)
    assert "20 windows of toy DNA embedded, a head trained for 3 epochs (auroc 0." in found.mock
    assert "32 variants scored (auroc " in found.mock
    assert re.search(rf"mock task +{re.escape(found.mock)}\n", found.text())
    assert found.verdict.startswith("ready with care")
    assert trial.examine(letters, mock=False).mock is None


def test_a_model_that_fails_in_it_is_not_usable(monkeypatch):
    def fragile(sequences):
        if begun:
            raise ValueError("out of luck")
        return letters(sequences)

    def make(*arguments, **options):
        begun.append(True)
        return toy.make(*arguments, **options)

    begun: list[bool] = []
    monkeypatch.setattr(trial, "toy", SimpleNamespace(make=make))
    found = trial.examine(fragile)
    assert found.verdict.startswith("not usable: the mock task failed: ")
    assert "out of luck" in found.verdict
    assert found.mock.startswith("failed")
