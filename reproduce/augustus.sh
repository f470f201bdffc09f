#!/usr/bin/env bash
# Table 3 of the BEND paper, row "AUGUSTUS": gene_finding 0.80.
# AUGUSTUS: an expert method, quoted by the paper. Nothing of it can be run here.
set -euo pipefail

echo "AUGUSTUS is a gene finder that is no part of this package: run AUGUSTUS itself on the test windows." >&2
exit 1
