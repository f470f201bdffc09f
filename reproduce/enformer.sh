#!/usr/bin/env bash
# Table 3 of the BEND paper, row "Enformer": enhancer_annotation 0.07.
# Enformer: an expert method, quoted by the paper. Nothing of it can be run here.
set -euo pipefail

echo "Enformer is an expert method that is no part of this package." >&2
exit 1
