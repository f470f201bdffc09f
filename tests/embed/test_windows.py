"""Plans of windows: they partition the tokens, are full, and give every token the context promised."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bend_hf.embed.windows import overlap_of, plan, window_of


@settings(max_examples=200, deadline=None)
@given(
    tokens=st.integers(1, 3000),
    size=st.integers(1, 600),
    policy=st.sampled_from(["overlap", "abut"]),
    causal=st.booleans(),
)
def test_partition(tokens, size, policy, causal):
    windows = plan(tokens, size, policy, causal)
    kept = [token for window in windows for token in range(window.keep_start, window.keep_stop)]
    assert kept == list(range(tokens))
    for window in windows:
        assert 0 <= window.start <= window.keep_start < window.keep_stop <= window.stop <= tokens
        assert window.stop - window.start <= size
        if policy == "overlap" and tokens > size:
            assert window.stop - window.start == size


@settings(max_examples=100, deadline=None)
@given(tokens=st.integers(1, 3000), size=st.integers(16, 600))
def test_every_token_has_its_margin(tokens, size):
    """A token is taken where its poorer side has most context of all windows that hold it."""
    windows = plan(tokens, size, "overlap", False)
    margin = min(64, size // 16)  # as promised, up to 4,096 tokens
    for window in windows:
        for token in (window.keep_start, window.keep_stop - 1):

            def poorer(w, token=token):
                left = token - w.start if w.start else tokens
                right = w.stop - 1 - token if w.stop < tokens else tokens
                return min(left, right)

            assert poorer(window) >= min(margin - 1, tokens)
            best = max(poorer(w) for w in windows if w.start <= token < w.stop)
            assert poorer(window) >= best - 1


@settings(max_examples=100, deadline=None)
@given(tokens=st.integers(1, 3000), size=st.integers(4, 600))
def test_causal_windows_keep_context_on_the_left(tokens, size):
    for window in plan(tokens, size, "overlap", True):
        assert window.keep_stop == window.stop
        assert window.start == 0 or window.keep_start - window.start >= overlap_of(size, True)


@pytest.mark.parametrize(
    ("size", "causal", "shared"),
    [
        *((512, False, 64), (2048, False, 128), (4096, False, 128), (16_384, False, 512), (131_072, False, 4096)),
        *((15, False, 0), (512, True, 128), (1024, True, 256)),
    ],
)
def test_what_windows_share(size, causal, shared):
    """On each side a sixteenth, at most 64 tokens, or a 64th where that is more; causal: a quarter on the left."""
    assert overlap_of(size, causal) == shared
    first, second = plan(2 * size - shared, size, "overlap", causal)
    assert first.stop - second.start == shared


def test_reference_pieces_abut():
    assert [(w.start, w.stop) for w in plan(1300, 510, "abut", False)] == [(0, 510), (510, 1020), (1020, 1300)]


@given(size=st.integers(1, 5000), specials=st.integers(0, 3))
def test_windows_fill_matrix_units(size, specials):
    window = window_of(size, specials)
    assert size - 15 <= window <= size
    assert (window + specials) % 16 == 0 if size + specials >= 256 else window == size


def test_no_limit():
    assert plan(10**6, None, "overlap", False) == [(0, 10**6, 0, 10**6)]


@pytest.mark.parametrize(("size", "cost"), [(510, 1.15), (999, 1.16), (2047, 1.08)])
def test_cost_of_overlap(size, cost):
    tokens = 100 * size
    assert sum(w.stop - w.start for w in plan(tokens, size, "overlap", False)) / tokens < cost
