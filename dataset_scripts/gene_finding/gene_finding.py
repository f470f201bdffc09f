"""Loading script of gene_finding: the builder that makes its rows from coordinates and a genome.

import bend_hf
bend_hf.load_dataset("gene_finding", data_dir="data", genome="GRCh38.fa")
"""

from bend_hf.data.builder import TaskBuilder, configurations, explain


class GeneFinding(TaskBuilder):
    """Builds ``bend/gene_finding``."""

    dataset = "gene_finding"
    BUILDER_CONFIGS = configurations(dataset)
    DEFAULT_CONFIG_NAME = BUILDER_CONFIGS[0].name


if __name__ == "__main__":
    raise SystemExit(explain("gene_finding"))
