#!/usr/bin/env bash
# Table 3 of the BEND paper, row "GROVER": gene_finding 0.28, enhancer_annotation 0.03, chromatin_accessibility 0.82, histone_modification 0.77, cpg_methylation 0.89, variant_effects_expression 0.56, variant_effects_disease 0.51.
# Checkpoint: PoetschLab/GROVER on the Hub, commit 6b223110f0d6963e849f55bc2a2f3cff0e38c7a4.
# Needs the data of BEND (BEND_HF_DATA, or the download), GRCh38 and GRCh37, and for all but the baselines a GPU.
# The histone column: the paper's text has other values for three rows; see bend-hf compare --published.
set -euo pipefail

output=${1:-bend-results}
bend-hf evaluate PoetschLab/GROVER --revision 6b223110f0d6963e849f55bc2a2f3cff0e38c7a4 --protocol bend-2024 \
  --tasks gene_finding enhancer_annotation chromatin_accessibility histone_modification cpg_methylation variant_effects_expression variant_effects_disease \
  -o "$output"
bend-hf compare "$output" --published --protocol bend-2024
