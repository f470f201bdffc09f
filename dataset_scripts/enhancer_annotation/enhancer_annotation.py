"""Loading script of enhancer_annotation: the builder that makes its rows from coordinates and a genome.

import bend_hf
bend_hf.load_dataset("enhancer_annotation", data_dir="data", genome="GRCh38.fa")
"""

from bend_hf.data.builder import TaskBuilder, configurations, explain


class EnhancerAnnotation(TaskBuilder):
    """Builds ``bend/enhancer_annotation``."""

    dataset = "enhancer_annotation"
    BUILDER_CONFIGS = configurations(dataset)
    DEFAULT_CONFIG_NAME = BUILDER_CONFIGS[0].name


if __name__ == "__main__":
    raise SystemExit(explain("enhancer_annotation"))
