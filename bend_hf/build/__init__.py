"""Makes tasks from primary sources, for any genome, and audits every task.

from bend_hf import build
build.genes("annotation.gff3", "genome.fa", "my_genes", build="TAIR10")
"""

from bend_hf.build.audit import Audit, audit
from bend_hf.build.control import control
from bend_hf.build.enhancers import enhancers
from bend_hf.build.genes import genes
from bend_hf.build.methylation import methylation
from bend_hf.build.peaks import peaks
from bend_hf.build.splits import Split
from bend_hf.build.variants import CLINVAR, Labels, variants

__all__ = [
    "CLINVAR",
    "Audit",
    "Labels",
    "Split",
    "audit",
    "control",
    "enhancers",
    "genes",
    "methylation",
    "peaks",
    "variants",
]
