#!/usr/bin/env bash
# Table 3 of the BEND paper, row "DNABERT-6": gene_finding 0.20, enhancer_annotation 0.03, chromatin_accessibility 0.85, histone_modification 0.79, cpg_methylation 0.91, variant_effects_expression 0.60, variant_effects_disease 0.56.
# Checkpoint: zhihan1996/DNA_bert_6 on the Hub, commit 55e0c0eb7b734c8b9b77bc083bf89eb6fbda1341.
# Needs the data of BEND (BEND_HF_DATA, or the download), GRCh38 and GRCh37, and for all but the baselines a GPU.
# The histone column: the paper's text has other values for three rows; see bend-hf compare --published.
set -euo pipefail

output=${1:-bend-results}
bend-hf evaluate zhihan1996/DNA_bert_6 --revision 55e0c0eb7b734c8b9b77bc083bf89eb6fbda1341 --protocol bend-2024 \
  --tasks gene_finding enhancer_annotation chromatin_accessibility histone_modification cpg_methylation variant_effects_expression variant_effects_disease \
  -o "$output"
bend-hf compare "$output" --published --protocol bend-2024
