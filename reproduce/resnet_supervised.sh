#!/usr/bin/env bash
# Table 3 of the BEND paper, row "ResNet (supervised)": gene_finding 0.46, enhancer_annotation 0.06.
# Trained from scratch by this package: no checkpoint.
# Needs the data of BEND (BEND_HF_DATA, or the download), GRCh38 and GRCh37, and for all but the baselines a GPU.
set -euo pipefail

output=${1:-bend-results}
bend-hf evaluate resnet-supervised --protocol bend-2024 \
  --tasks gene_finding enhancer_annotation \
  -o "$output"
bend-hf compare "$output" --published --protocol bend-2024
