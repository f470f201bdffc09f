#!/usr/bin/env bash
# Table 3 of the BEND paper, row "DeepSEA": variant_effects_expression 0.70, variant_effects_disease 0.56.
# DeepSEA: an expert method, quoted by the paper. Nothing of it can be run here.
set -euo pipefail

echo "DeepSEA is an expert method that is no part of this package." >&2
exit 1
