#!/usr/bin/env bash
# Table 3 of the BEND paper, row "HyenaDNA large": gene_finding 0.35, enhancer_annotation 0.03, chromatin_accessibility 0.84, histone_modification 0.76, cpg_methylation 0.91, variant_effects_expression 0.51, variant_effects_disease 0.45.
# Checkpoint: LongSafari/hyenadna-large-1m-seqlen-hf on the Hub, commit 0a629abf9c7f85b4ec9aa6a1aefa3adcf1907446.
# Needs the data of BEND (BEND_HF_DATA, or the download), GRCh38 and GRCh37, and for all but the baselines a GPU.
# The histone column: the paper's text has other values for three rows; see bend-hf compare --published.
set -euo pipefail

output=${1:-bend-results}
bend-hf evaluate LongSafari/hyenadna-large-1m-seqlen-hf --revision 0a629abf9c7f85b4ec9aa6a1aefa3adcf1907446 --protocol bend-2024 \
  --tasks gene_finding enhancer_annotation chromatin_accessibility histone_modification cpg_methylation variant_effects_expression variant_effects_disease \
  -o "$output"
bend-hf compare "$output" --published --protocol bend-2024
