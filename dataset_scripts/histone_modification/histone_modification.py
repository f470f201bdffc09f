"""Loading script of histone_modification: the builder that makes its rows from coordinates and a genome.

import bend_hf
bend_hf.load_dataset("histone_modification", data_dir="data", genome="GRCh38.fa")
"""

from bend_hf.data.builder import TaskBuilder, configurations, explain


class HistoneModification(TaskBuilder):
    """Builds ``bend/histone_modification``."""

    dataset = "histone_modification"
    BUILDER_CONFIGS = configurations(dataset)
    DEFAULT_CONFIG_NAME = BUILDER_CONFIGS[0].name


if __name__ == "__main__":
    raise SystemExit(explain("histone_modification"))
