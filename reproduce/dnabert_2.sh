#!/usr/bin/env bash
# Table 3 of the BEND paper, row "DNABERT-2": gene_finding 0.43, enhancer_annotation 0.03, chromatin_accessibility 0.81, histone_modification 0.78, cpg_methylation 0.90, variant_effects_expression 0.49, variant_effects_disease 0.51.
# Checkpoint: zhihan1996/DNABERT-2-117M on the Hub, commit 7bce263b15377fc15361f52cfab88f8b586abda0.
# Needs the data of BEND (BEND_HF_DATA, or the download), GRCh38 and GRCh37, and for all but the baselines a GPU.
# The histone column: the paper's text has other values for three rows; see bend-hf compare --published.
set -euo pipefail

output=${1:-bend-results}
bend-hf evaluate zhihan1996/DNABERT-2-117M --revision 7bce263b15377fc15361f52cfab88f8b586abda0 --protocol bend-2024 \
  --tasks gene_finding enhancer_annotation chromatin_accessibility histone_modification cpg_methylation variant_effects_expression variant_effects_disease \
  -o "$output"
bend-hf compare "$output" --published --protocol bend-2024
