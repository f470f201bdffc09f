#!/usr/bin/env bash
# Table 3 of the BEND paper, row "HyenaDNA tiny": gene_finding 0.10, enhancer_annotation 0.02, chromatin_accessibility 0.78, histone_modification 0.76, cpg_methylation 0.86, variant_effects_expression 0.47, variant_effects_disease 0.44.
# Checkpoint: LongSafari/hyenadna-tiny-1k-seqlen-hf on the Hub, commit e8c1effa8673814e257e627d2e1eda9ea5a373f6.
# Needs the data of BEND (BEND_HF_DATA, or the download), GRCh38 and GRCh37, and for all but the baselines a GPU.
# The histone column: the paper's text has other values for three rows; see bend-hf compare --published.
set -euo pipefail

output=${1:-bend-results}
bend-hf evaluate LongSafari/hyenadna-tiny-1k-seqlen-hf --revision e8c1effa8673814e257e627d2e1eda9ea5a373f6 --protocol bend-2024 \
  --tasks gene_finding enhancer_annotation chromatin_accessibility histone_modification cpg_methylation variant_effects_expression variant_effects_disease \
  -o "$output"
bend-hf compare "$output" --published --protocol bend-2024
