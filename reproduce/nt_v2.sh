#!/usr/bin/env bash
# Table 3 of the BEND paper, row "NT-V2": gene_finding 0.64, enhancer_annotation 0.05, chromatin_accessibility 0.80, histone_modification 0.76, cpg_methylation 0.91, variant_effects_expression 0.48, variant_effects_disease 0.48.
# Checkpoint: InstaDeepAI/nucleotide-transformer-v2-500m-multi-species on the Hub, commit 06615c1660c892fc199840c18123f8385b3542a8.
# Needs the data of BEND (BEND_HF_DATA, or the download), GRCh38 and GRCh37, and for all but the baselines a GPU.
# The histone column: the paper's text has other values for three rows; see bend-hf compare --published.
set -euo pipefail

output=${1:-bend-results}
bend-hf evaluate InstaDeepAI/nucleotide-transformer-v2-500m-multi-species --revision 06615c1660c892fc199840c18123f8385b3542a8 --protocol bend-2024 \
  --tasks gene_finding enhancer_annotation chromatin_accessibility histone_modification cpg_methylation variant_effects_expression variant_effects_disease \
  -o "$output"
bend-hf compare "$output" --published --protocol bend-2024
