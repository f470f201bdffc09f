"""The declarations: facts of the release, the registry's errors, and what other rooms rely on."""

import dataclasses

import pytest

from bend_hf.errors import BendError
from bend_hf.protocols import PROTOCOLS, get_protocol
from bend_hf.tasks import TASKS, get_config, get_tasks


def test_seven_tasks_in_order():
    assert [task.name for task in get_tasks("all")] == [
        "gene_finding",
        "enhancer_annotation",
        "chromatin_accessibility",
        "histone_modification",
        "cpg_methylation",
        "variant_effects_expression",
        "variant_effects_disease",
    ]


@pytest.mark.parametrize(
    ("name", "rows", "labels"),
    [
        ("gene_finding", 5977, 9),
        ("enhancer_annotation", 285, 1),
        ("chromatin_accessibility", 2_062_129, 125),
        ("histone_modification", 625_229, 18),
        ("cpg_methylation", 959_039, 7),
        ("variant_effects_expression", 105_263, 2),
        ("variant_effects_disease", 295_495, 2),
    ],
)
def test_declared_rows_add_up_to_the_release(name, rows, labels):
    assert sum(TASKS[name].rows.values()) == rows
    assert len(TASKS[name].label_names) == labels
    assert len(set(TASKS[name].label_names)) == labels


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_declaration_is_consistent(task):
    assert set(task.split_names.values()) == set(task.rows)
    assert len({column.name for column in task.columns}) == len(task.columns)
    assert (task.recipe is None) == (task.split_scheme == "none")
    if task.recipe is not None:
        assert task.recipe.outputs == len(task.label_names)
    if task.bin_size is not None:
        assert task.window % task.bin_size == 0
        assert task.recipe.pool == task.bin_size
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.name = "other"


def test_stem_is_where_the_release_has_the_files():
    assert TASKS["gene_finding"].stem == "gene_finding/gene_finding"
    assert TASKS["variant_effects_disease"].stem == "variant_effects/variant_effects_disease"


def test_a_dataset_name_gives_all_its_tasks():
    assert [task.config for task in get_tasks("variant_effects")] == ["expression", "disease"]
    assert get_tasks(["variant_effects_disease", "gene_finding"])[0].name == "gene_finding"


def test_unknown_names_say_what_was_meant():
    with pytest.raises(BendError, match=r"Did you mean 'gene_finding'\?.*Choices: all, chromatin"):
        get_tasks("gene_findng")
    with pytest.raises(BendError, match=r"Did you mean 'disease'\?"):
        get_config("bend/variant_effects", "diseases")
    with pytest.raises(BendError, match="Choices: default, bend-2024"):
        get_protocol("bend")


def test_default_configuration_is_the_first():
    assert get_config("bend/variant_effects").config == "expression"
    assert get_config("gene_finding").config == "default"


def test_protocols_differ_in_every_reproduced_defect():
    default, reference = PROTOCOLS["default"], PROTOCOLS["bend-2024"]
    same = {f.name for f in dataclasses.fields(default) if getattr(default, f.name) == getattr(reference, f.name)}
    assert same == set()
