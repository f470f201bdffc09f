#!/usr/bin/env bash
# Table 3 of the BEND paper, row "NT-MS": gene_finding 0.68, enhancer_annotation 0.06, chromatin_accessibility 0.79, histone_modification 0.78, cpg_methylation 0.92, variant_effects_expression 0.54, variant_effects_disease 0.77.
# Checkpoint: InstaDeepAI/nucleotide-transformer-2.5b-multi-species on the Hub, commit b746b125aacd1b0970c05a32fd71ba726754542e.
# Needs the data of BEND (BEND_HF_DATA, or the download), GRCh38 and GRCh37, and for all but the baselines a GPU.
# The histone column: the paper's text has other values for three rows; see bend-hf compare --published.
set -euo pipefail

output=${1:-bend-results}
bend-hf evaluate InstaDeepAI/nucleotide-transformer-2.5b-multi-species --revision b746b125aacd1b0970c05a32fd71ba726754542e --protocol bend-2024 \
  --tasks gene_finding enhancer_annotation chromatin_accessibility histone_modification cpg_methylation variant_effects_expression variant_effects_disease \
  -o "$output"
bend-hf compare "$output" --published --protocol bend-2024
