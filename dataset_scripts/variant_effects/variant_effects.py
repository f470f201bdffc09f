"""Loading script of variant_effects: the builder that makes its rows from coordinates and a genome.

import bend_hf
bend_hf.load_dataset("variant_effects", data_dir="data", genome="GRCh38.fa")
"""

from bend_hf.data.builder import TaskBuilder, configurations, explain


class VariantEffects(TaskBuilder):
    """Builds ``bend/variant_effects``."""

    dataset = "variant_effects"
    BUILDER_CONFIGS = configurations(dataset)
    DEFAULT_CONFIG_NAME = BUILDER_CONFIGS[0].name


if __name__ == "__main__":
    raise SystemExit(explain("variant_effects"))
