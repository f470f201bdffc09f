#!/usr/bin/env bash
# Table 3 of the BEND paper, row "GENA-LM BigBird": gene_finding 0.39, enhancer_annotation 0.04, chromatin_accessibility 0.82, histone_modification 0.78, cpg_methylation 0.91, variant_effects_expression 0.49, variant_effects_disease 0.52.
# Checkpoint: AIRI-Institute/gena-lm-bigbird-base-t2t on the Hub, commit f155a24ef5cefd7218a1e4c6888aedb574509cc3.
# Needs the data of BEND (BEND_HF_DATA, or the download), GRCh38 and GRCh37, and for all but the baselines a GPU.
# The histone column: the paper's text has other values for three rows; see bend-hf compare --published.
set -euo pipefail

output=${1:-bend-results}
bend-hf evaluate AIRI-Institute/gena-lm-bigbird-base-t2t --revision f155a24ef5cefd7218a1e4c6888aedb574509cc3 --protocol bend-2024 \
  --tasks gene_finding enhancer_annotation chromatin_accessibility histone_modification cpg_methylation variant_effects_expression variant_effects_disease \
  -o "$output"
bend-hf compare "$output" --published --protocol bend-2024
