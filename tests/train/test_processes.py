"""Which device a thread computes on, and in which precision a head is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from bend_hf.errors import BendError
from bend_hf.protocols import get_protocol
from bend_hf.train.processes import numbered, trained_in


def test_a_card_without_a_number_is_this_thread_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    assert numbered(torch.device("cuda")) == torch.device("cuda:3")
    assert numbered(torch.device("cuda:1")) == torch.device("cuda:1")
    assert numbered(torch.device("cpu")) == torch.device("cpu")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def be(*, gpu: bool, bf16: bool = True, told: str | None = None) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: bf16)
        monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
        if told is not None:
            monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", told)

    return be


@pytest.mark.parametrize(
    ("protocol", "has", "expected"),
    [
        ("default", {"gpu": False}, "fp32"),
        ("default", {"gpu": True}, "bf16"),
        ("default", {"gpu": True, "bf16": False}, "fp16"),
        ("bend-2024", {"gpu": False}, "fp32"),
        ("bend-2024", {"gpu": True}, "fp16"),
        ("default", {"gpu": True, "told": "fp16"}, "fp16"),
        ("default", {"gpu": True, "told": "no"}, "bf16"),
        ("default", {"gpu": False, "told": "bf16"}, "bf16"),
        ("bend-2024", {"gpu": True, "told": "bf16"}, "bf16"),
    ],
)
def test_what_a_head_is_trained_in_where_nothing_is_asked_for(
    machine: Callable[..., None], protocol: str, has: dict[str, Any], expected: str
) -> None:
    machine(**has)
    assert trained_in("auto", None, get_protocol(protocol)) == expected


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("protocol", ["default", "bend-2024"])
def test_a_head_is_trained_in_what_is_asked_for(machine: Callable[..., None], protocol: str, precision: str) -> None:
    machine(gpu=True, bf16=False, told="fp16" if precision == "bf16" else "bf16")
    assert trained_in(precision, None, get_protocol(protocol)) == precision


def test_precisions_that_are_none_or_not_for_a_cpu(machine: Callable[..., None]) -> None:
    machine(gpu=False, told="fp16")
    assert trained_in("bf16", "cpu", get_protocol("default")) == "bf16"
    for asked in ("fp16", "auto"):
        with pytest.raises(BendError, match="fp16 is for GPUs"):
            trained_in(asked, None, get_protocol("default"))
    with pytest.raises(BendError, match=r"precision.*'fp8'"):
        trained_in("fp8", None, get_protocol("default"))
