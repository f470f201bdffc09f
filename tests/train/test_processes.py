"""Which device a thread computes on."""

from __future__ import annotations

import pytest
import torch

from bend_hf.train.processes import numbered


def test_a_card_without_a_number_is_this_thread_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    assert numbered(torch.device("cuda")) == torch.device("cuda:3")
    assert numbered(torch.device("cuda:1")) == torch.device("cuda:1")
    assert numbered(torch.device("cpu")) == torch.device("cpu")
