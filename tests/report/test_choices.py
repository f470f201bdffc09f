"""The panel of scores by layer: every cell where it belongs, marks in letters, nothing where there is one layer."""

import dataclasses
import re

import numpy as np
from result_factory import make_result, trained

from bend_hf.report.choices import choices, marks
from bend_hf.results.board import board

TASK = "variant_effects_disease"
KEY = dict.fromkeys(("rows", "network", "protocol", "recipe", "code"), "x")


def result(layer=-1, scores=("cosine", "l2"), extra=(), chosen=("l2", "l2"), layers=3, **values):
    """A result of a model of three layers, whose scores rise from 0.4 by 0.05 and have intervals of ± 0.06."""
    own = [name + strand for name in scores for strand in values.get("strands", [""])]
    found = {name: 0.4 + 0.05 * k for k, name in enumerate([*own, *extra])}
    found |= {name: found["cosine"] for name in found if name == f"cosine@{layers}"}
    fitted = {"score": 0.61, "interval": [0.5, 0.7], "chosen": list(chosen), "unit": "chromosome"}
    second = {
        "by_score": found,
        "by_score_interval": {name: [value - 0.06, value + 0.06] for name, value in found.items()},
        "cross_fitted": fitted,
    }
    provenance = trained("m", {"layer": [layer]}, scores=list(scores))
    provenance["model"]["layers"] = layers
    key = KEY | {"embedder": {"layer": [layer]}, "settings": {"scores": list(scores)}}
    return make_result(TASK, model="org/m", score=found["cosine"], secondary=second, provenance=provenance, key=key)


def cells(figure):
    """Lines of a figure as (name, texts of its cells, classes of its cells)."""
    body = str(figure.drawing).partition("<tbody>")[2].partition("</tbody>")[0]
    lines = []
    for line in body.split("</tr>")[:-1]:
        [name] = re.findall(r'<th scope="row">(.*?)</th>', line)
        found = re.findall(r"<td class=\"(.*?)\".*?>(.*?)</td>", line, re.DOTALL)
        lines.append((name, [re.sub(r"<.*?>", "", text) for _, text in found], [look for look, _ in found]))
    return lines


def heads(figure):
    return re.findall(r'<th scope="col">(.*?)</th>', str(figure.drawing))


def test_scores_of_one_run_stand_by_score_and_layer():
    scores = ("cosine", "cosine@0", "cosine@2", "cosine@3", "mean_l2@2", "llr")
    made = result(scores=scores, extra=("gc_change",), chosen=("llr", "cosine@3"))
    [figure] = choices(board([made]))
    assert figure.title == "Which choice matters: org/m"
    assert heads(figure) == ["0", "2", "last"]
    assert [line[:2] for line in cells(figure)] == [
        ("cosine", ["0.45°", "0.50°", "0.40HX°"]),  # the headline and cosine@3 are of one layer
        ("mean_l2", ["–", "0.60", "–"]),
        ("llr", ["0.65X"]),
    ]
    assert 'colspan="3" title="0.650 (0.590 to 0.710)"' in str(figure.drawing)
    assert "headline" in cells(figure)[0][2][2]
    assert [look.split()[0] for look in cells(figure)[0][2]] == ["cool", "warm", "cool"]  # below chance, at it, below
    assert figure.note == (
        "From 0.400 to 0.650 with the score and layer that are taken; the headline is 0.400, the cross-fitted best "
        "0.610 (0.500 to 0.700)."
    )


def test_runs_of_several_layers_stand_side_by_side():
    made = [result(layer, chosen=chosen) for layer, chosen in ((0, ("l2", "cosine")), (1, ("l2", "l2")), (-1, ()))]
    for k, one in enumerate(made):
        shift = {name: value + 0.1 * k for name, value in one.secondary["by_score"].items()}
        made[k] = dataclasses.replace(one, secondary=one.secondary | {"by_score": shift})
    [figure] = choices(board(made))
    assert heads(figure) == ["0", "1", "last"]
    assert [line[:2] for line in cells(figure)] == [
        ("cosine", ["0.40HX°", "0.50H°", "0.60H°"]),
        ("l2", ["0.45X°", "0.55X°", "0.65°"]),
    ]
    assert figure.note.endswith("none chooses among layers (--scores distances@all does).")


def test_strands_are_lines_of_their_own():
    made = result(scores=("cosine", "cosine@1"), strands=["", ".forward"], chosen=("cosine@1.forward",) * 2)
    assert [line[:2] for line in cells(choices(board([made]))[0])] == [
        ("cosine", ["0.50°", "0.40H°"]),
        ("cosine.forward", ["0.55X°", "0.45°"]),
    ]


def test_without_an_interval_the_score_itself_is_held_against_chance():
    made = result(scores=("cosine", "l2"))
    second = {"by_score": {"cosine": 0.5, "l2": 0.51}, "by_score_interval": {"cosine": None, "l2": None}}
    made = dataclasses.replace(made, secondary=second)
    assert [marks(made, name) for name in ("cosine", "l2")] == ["H°", ""]


def test_no_panel_where_there_is_one_layer_or_none_is_known():
    assert choices(board([result()])) == []
    assert choices(board([result(scores=("cosine", "cosine@3"))])) == []
    assert choices(board([dataclasses.replace(result(scores=("cosine", "cosine@1")), key=None)])) == []
    undefined = result(scores=("cosine", "cosine@1"))
    nothing = dict.fromkeys(undefined.secondary["by_score"])
    second = {"by_score": nothing, "by_score_interval": nothing}
    undefined = dataclasses.replace(undefined, score=None, secondary=second)
    assert choices(board([undefined])) == []


def test_models_have_a_panel_each_and_names_are_escaped():
    scores = ("cosine", "cosine@1")
    made = [dataclasses.replace(result(scores=scores), model=name) for name in ("a<b", "c")]
    figures = choices(board([*made, result()]))
    assert [figure.title.rpartition(": ")[2] for figure in figures] == ["a<b", "c"]
    values = [float(text[:4]) for _, texts, _ in cells(figures[0]) for text in texts]
    assert np.isclose(sum(values), 0.85)
