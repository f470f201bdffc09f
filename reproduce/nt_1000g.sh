#!/usr/bin/env bash
# Table 3 of the BEND paper, row "NT-1000G": gene_finding 0.49, enhancer_annotation 0.04, chromatin_accessibility 0.77, histone_modification 0.77, cpg_methylation 0.89, variant_effects_expression 0.45, variant_effects_disease 0.49.
# Checkpoint: InstaDeepAI/nucleotide-transformer-2.5b-1000g on the Hub, no commit pinned: the record holds the one that was used.
# Needs the data of BEND (BEND_HF_DATA, or the download), GRCh38 and GRCh37, and for all but the baselines a GPU.
# The histone column: the paper's text has other values for three rows; see bend-hf compare --published.
set -euo pipefail

output=${1:-bend-results}
bend-hf evaluate InstaDeepAI/nucleotide-transformer-2.5b-1000g --protocol bend-2024 \
  --tasks gene_finding enhancer_annotation chromatin_accessibility histone_modification cpg_methylation variant_effects_expression variant_effects_disease \
  -o "$output"
bend-hf compare "$output" --published --protocol bend-2024
