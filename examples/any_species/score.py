"""From FASTA, GFF3 and VCF of any species to a scored model.

python examples/any_species/make_species.py            # genome.fa, genes.gff3 and variants.vcf of a made-up plant
python examples/any_species/score.py onehot            # or any model
"""

import sys

import bend_hf
from bend_hf import build

species = {"genome": "genome.fa", "build": "made-up-1"}
by_effect = build.Labels("EFFECT", terms={"high": 1, "low": 0})
genes = build.genes("genes.gff3", output="plant_genes", split=build.Split("chromosomes"), **species)
variants = build.variants("variants.vcf", output="plant_variants", labels=by_effect, annotation="genes.gff3", **species)
results = bend_hf.evaluate(sys.argv[1], tasks=[genes, variants], genome="genome.fa", epochs=5, batch_size=8)
print(results)
sys.exit(any(result.failure for result in results))
