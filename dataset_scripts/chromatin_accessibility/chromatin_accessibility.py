"""Loading script of chromatin_accessibility: the builder that makes its rows from coordinates and a genome.

import bend_hf
bend_hf.load_dataset("chromatin_accessibility", data_dir="data", genome="GRCh37.fa")
"""

from bend_hf.data.builder import TaskBuilder, configurations, explain


class ChromatinAccessibility(TaskBuilder):
    """Builds ``bend/chromatin_accessibility``."""

    dataset = "chromatin_accessibility"
    BUILDER_CONFIGS = configurations(dataset)
    DEFAULT_CONFIG_NAME = BUILDER_CONFIGS[0].name


if __name__ == "__main__":
    raise SystemExit(explain("chromatin_accessibility"))
