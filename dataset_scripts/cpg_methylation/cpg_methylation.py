"""Loading script of cpg_methylation: the builder that makes its rows from coordinates and a genome.

import bend_hf
bend_hf.load_dataset("cpg_methylation", data_dir="data", genome="GRCh38.fa")
"""

from bend_hf.data.builder import TaskBuilder, configurations, explain


class CpgMethylation(TaskBuilder):
    """Builds ``bend/cpg_methylation``."""

    dataset = "cpg_methylation"
    BUILDER_CONFIGS = configurations(dataset)
    DEFAULT_CONFIG_NAME = BUILDER_CONFIGS[0].name


if __name__ == "__main__":
    raise SystemExit(explain("cpg_methylation"))
