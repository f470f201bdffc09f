#!/usr/bin/env bash
# Table 3 of the BEND paper, row "ResNet-LM": gene_finding 0.36, enhancer_annotation 0.02, chromatin_accessibility 0.82, histone_modification 0.77, cpg_methylation 0.87, variant_effects_expression 0.55, variant_effects_disease 0.55.
# Checkpoint: https://sid.erda.dk/share_redirect/dbQM0pgSlM/pretrained_models/convnet (no commit: the record holds the digest of its files).
# Needs the data of BEND (BEND_HF_DATA, or the download), GRCh38 and GRCh37, and for all but the baselines a GPU.
# The histone column: the paper's text has other values for three rows; see bend-hf compare --published.
set -euo pipefail

output=${1:-bend-results}
bend-hf evaluate resnetlm --protocol bend-2024 \
  --tasks gene_finding enhancer_annotation chromatin_accessibility histone_modification cpg_methylation variant_effects_expression variant_effects_disease \
  -o "$output"
bend-hf compare "$output" --published --protocol bend-2024
