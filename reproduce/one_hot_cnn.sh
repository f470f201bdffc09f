#!/usr/bin/env bash
# Table 3 of the BEND paper, row "one-hot CNN": gene_finding 0.00, enhancer_annotation 0.03, chromatin_accessibility 0.75, histone_modification 0.76, cpg_methylation 0.84.
# Trained from scratch by this package: no checkpoint.
# Needs the data of BEND (BEND_HF_DATA, or the download), GRCh38 and GRCh37, and for all but the baselines a GPU.
# The histone column: the paper's text has other values for three rows; see bend-hf compare --published.
set -euo pipefail

output=${1:-bend-results}
bend-hf evaluate onehot --protocol bend-2024 \
  --tasks gene_finding enhancer_annotation chromatin_accessibility histone_modification cpg_methylation \
  -o "$output"
bend-hf compare "$output" --published --protocol bend-2024
