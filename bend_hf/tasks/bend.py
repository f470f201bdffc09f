"""The seven tasks of BEND.

    from bend_hf.tasks import get_tasks
    task = get_tasks("gene_finding")[0]
    task.metric, task.label_names, task.recipe.hidden

A further task of BEND is one declaration here and a folder in ``dataset_scripts/``; a task of one's own is a folder
(``docs/own_tasks.md``).
Facts are those of Marin et al., *BEND: Benchmarking DNA Language Models on Biologically Meaningful Tasks*, ICLR 2024
(arXiv 2311.12570), its released files and its reference code.
"""

from __future__ import annotations

from bend_hf.tasks.task import FOLDS, Column, Recipe, Source, Task

FIXED_SPLITS = {"train": "train", "valid": "validation", "test": "test"}

CHROMOSOME = Column("chromosome", "string", "chromosome name, as in the released file", row=True)
START = Column("start", "int64", "start of the window, 0-based", row=True)
END = Column("end", "int64", "end of the window, exclusive", row=True)
STRAND = Column("strand", "string", "`+`, `-` or `.` (no strand)", row=True)
LABEL_LIST = Column("label", "string", "comma-separated indices of the labels that are on; empty for none")
SPLIT = Column("split", "string", "split of the row")

PEAK_COLUMNS = (
    CHROMOSOME,
    START,
    END,
    Column("score", "string", "always `.`"),
    Column("-", "string", "always 1; the column is literally named `-`"),
    STRAND,
    LABEL_LIST,
    SPLIT,
)
VARIANT_COLUMNS = (
    CHROMOSOME,
    Column("start", "int64", "0-based position of the variant", row=True),
    Column("end", "int64", "equal to `start`: the position of the variant, not an interval"),
    Column("ref", "string", "reference allele, one base", row=True),
    Column("alt", "string", "alternate allele, one base", row=True),
    Column("split", "string", "`train` in every row; has no meaning, the task is zero-shot"),
    Column("label", "int8", "1 for an effect, 0 for none", row=True),
)
CONSEQUENCE = Column("Consequence", "string", "consequence class by Ensembl VEP", row=True)

ENCODE = Source("ENCODE Project Consortium", "10.1038/nature11247", "encode2012")
BASSET = Source("Basset (windows)", "10.1101/gr.200535.115", "kelley2016basset")
VEP = Source("Ensembl VEP (consequences)", "10.1186/s13059-016-0974-4", "mclaren2016vep")


def _multilabel(outputs: int) -> Recipe:
    return Recipe(
        hidden=64,
        pool=512,
        outputs=outputs,
        loss="binary",
        positive_weight=None,
        learning_rate=3e-3,
        batch_size=256,
    )


CHROMATIN_LABELS = tuple(
    """
    8988T AoSMC Chorion CLL Fibrobl FibroP Gliobla GM12891 GM12892 GM18507 GM19238 GM19239 GM19240 H9ES HeLa-S3_IFNa4h
    Hepatocytes HPDE6-E6E7 HSMM_emb HTR8svn Huh-7.5 Huh-7 iPS Ishikawa_Estradiol Ishikawa_4OHTAM LNCaP_androgen
    MCF-7_Hypoxia Medullo Melano Myometr Osteobl PanIsletD PanIslets pHTE ProgFib RWPE1 Stellate T-47D CD4_Th0 Urothelia
    Urothelia_UT189 AG04449 AG04450 AG09309 AG09319 AG10803 AoAF BE2_C BJ Caco-2 CD20+ CD34+ CMK GM06990 GM12864 GM12865
    H7-hESC HAc HAEpiC HA-h HA-sp HBMEC HCF HCFaa HCM HConF HCPEpiC HCT-116 HEEpiC HFF HFF-Myc HGF HIPEpiC HL-60 HMF
    HMVEC-dAd HMVEC-dBl-Ad HMVEC-dBl-Neo HMVEC-dLy-Ad HMVEC-dLy-Neo HMVEC-dNeo HMVEC-LBl HMVEC-LLy HNPCEpiC HPAEC HPAF
    HPdLF HPF HRCEpiC HRE HRGEC HRPEpiC HVMF Jurkat Monocytes-CD14+ NB4 NH-A NHDF-Ad NHDF-neo NHLF NT2-D1 PANC-1 PrEC
    RPTEC SAEC SKMC SK-N-MC SK-N-SH_RA Th2 WERI-Rb-1 WI-38 WI-38_4OHTAM A549 GM12878 H1-hESC HeLa-S3 HepG2 HMEC HSMM
    HSMMtube HUVEC K562 LNCaP MCF-7 NHEK Th1
    """.split()
)

GENE_FINDING = Task(
    name="gene_finding",
    dataset="gene_finding",
    config="default",
    title="Gene finding",
    summary=(
        "Classify every nucleotide of a window around a protein-coding transcript as coding exon, donor, intron, "
        "acceptor (on either strand) or intergenic."
    ),
    label_kind="per_nucleotide_class",
    label_names=(
        "exon_forward",
        "donor_forward",
        "intron_forward",
        "acceptor_forward",
        "exon_reverse",
        "donor_reverse",
        "intron_reverse",
        "acceptor_reverse",
        "intergenic",
    ),
    label_naming="released",
    build="GRCh38",
    stranded=False,
    window=None,
    bin_size=None,
    split_scheme="fixed",
    split_names=FIXED_SPLITS,
    columns=(
        CHROMOSOME,
        START,
        END,
        Column("transcript_id", "string", "Ensembl transcript, with version", row=True),
        Column(
            "strand",
            "string",
            "strand of the transcript; sequence and labels are of the forward strand",
            row=True,
        ),
        Column("flank_left", "int64", "flank on the left in bp, inside `start`/`end`", row=True),
        Column("flank_right", "int64", "flank on the right in bp, inside `start`/`end`", row=True),
        Column("length", "int64", "`end - start`"),
        SPLIT,
    ),
    labels_in_hdf5=True,
    metric="mcc",
    recipe=Recipe(
        hidden=64,
        pool=None,
        outputs=9,
        loss="cross_entropy",
        positive_weight=None,
        learning_rate=3e-3,
        batch_size=64,
    ),
    rows={"train": 4783, "validation": 597, "test": 597},
    sources=(Source("GENCODE", "10.1093/nar/gkaa1087", "frankish2021gencode"),),
    caveats=(
        "18.3 % of the test windows overlap a training window by at least 1 bp.",
        "Exon means coding sequence only: UTRs, non-coding exons and the stop codon are labelled intergenic.",
        "Donor and acceptor are the single first and last nucleotide of an intron in transcript orientation.",
    ),
)

ENHANCER_ANNOTATION = Task(
    name="enhancer_annotation",
    dataset="enhancer_annotation",
    config="default",
    title="Enhancer annotation",
    summary="Find the 128-bp bins of a 100,096-bp window around a gene's start that are enhancers of that gene.",
    label_kind="per_bin_binary",
    label_names=("enhancer",),
    label_naming="released",
    build="GRCh38",
    stranded=False,
    window=100_096,
    bin_size=128,
    split_scheme="folds",
    split_names={part: part for part in FOLDS},
    columns=(
        CHROMOSOME,
        START,
        END,
        Column("gene", "string", "gene symbol", row=True),
        Column("score", "string", "empty"),
        STRAND,
        SPLIT,
    ),
    labels_in_hdf5=True,
    metric="auprc",
    recipe=Recipe(
        hidden=2,
        pool=128,
        outputs=1,
        loss="binary",
        positive_weight=82.86,
        learning_rate=1e-3,
        batch_size=8,
    ),
    rows=dict(zip(FOLDS, (27, 27, 28, 28, 28, 31, 24, 24, 35, 33), strict=True)),
    sources=(
        Source("Fulco et al. 2019", "10.1038/s41588-019-0538-0", "fulco2019abc"),
        Source("Gasperini et al. 2019", "10.1016/j.cell.2018.11.029", "gasperini2019"),
        Source("Avsec et al. 2021 (transcription start sites)", "10.1038/s41592-021-01252-x", "avsec2021enformer"),
    ),
    caveats=(
        "285 windows in all: scores of single folds vary widely, so all ten are shown beside their mean.",
        "Fold k tests on part k, validates on part k+1 (cyclic) and trains on the other eight.",
    ),
)

CHROMATIN_ACCESSIBILITY = Task(
    name="chromatin_accessibility",
    dataset="chromatin_accessibility",
    config="default",
    title="Chromatin accessibility",
    summary="Predict in which of 125 cell types a 512-bp window lies in a DNase hypersensitive site.",
    label_kind="multilabel",
    label_names=CHROMATIN_LABELS,
    label_naming="inferred",
    build="GRCh37",
    stranded=True,
    window=512,
    bin_size=None,
    split_scheme="fixed",
    split_names=FIXED_SPLITS,
    columns=PEAK_COLUMNS,
    labels_in_hdf5=False,
    metric="auroc",
    recipe=_multilabel(125),
    rows={"train": 1_410_554, "validation": 279_422, "test": 372_153},
    paper_rows=2_005_617,
    sources=(ENCODE, BASSET),
    caveats=(
        "Every window is a peak in some cell type: there are no all-negative windows.",
        "Label names are inferred (ENCODE DNase tracks in Basset's target order); the released file has none.",
        "Coordinates are on GRCh37; all other tasks are on GRCh38.",
    ),
)

HISTONE_MODIFICATION = Task(
    name="histone_modification",
    dataset="histone_modification",
    config="default",
    title="Histone modification",
    summary="Predict which of 18 histone marks (K562) a 512-bp window carries.",
    label_kind="multilabel",
    label_names=tuple(f"label_{i}" for i in range(18)),
    label_naming="unnamed",
    build="GRCh38",
    stranded=True,
    window=512,
    bin_size=None,
    split_scheme="fixed",
    split_names=FIXED_SPLITS,
    columns=PEAK_COLUMNS,
    labels_in_hdf5=False,
    metric="auroc",
    recipe=_multilabel(18),
    rows={"train": 433_861, "validation": 70_801, "test": 120_567},
    paper_rows=612_081,
    sources=(ENCODE, BASSET),
    caveats=(
        "Every window is a peak of some mark: there are no all-negative windows.",
        "The released file carries no label names.",
    ),
)

CPG_METHYLATION = Task(
    name="cpg_methylation",
    dataset="cpg_methylation",
    config="default",
    title="CpG methylation",
    summary="Predict in which of 7 cell types the CpG at the centre of a 512-bp window is methylated.",
    label_kind="multilabel",
    label_names=tuple(f"label_{i}" for i in range(7)),
    label_naming="unnamed",
    build="GRCh38",
    stranded=True,
    window=512,
    bin_size=None,
    split_scheme="fixed",
    split_names=FIXED_SPLITS,
    columns=(CHROMOSOME, START, END, STRAND, LABEL_LIST, SPLIT),
    labels_in_hdf5=False,
    metric="auroc",
    recipe=_multilabel(7),
    rows={"train": 743_095, "validation": 109_717, "test": 106_227},
    sources=(ENCODE,),
    caveats=(
        "51.9 % of the training windows overlap the next one.",
        "The released file carries no label names.",
    ),
)

VARIANT_EFFECTS_EXPRESSION = Task(
    name="variant_effects_expression",
    dataset="variant_effects",
    config="expression",
    title="Variant effects (expression)",
    summary="Rank single-nucleotide variants by their effect on gene expression, zero-shot.",
    label_kind="variant_binary",
    label_names=("no_effect", "effect"),
    label_naming="released",
    build="GRCh38",
    stranded=False,
    window=1024,
    bin_size=None,
    split_scheme="none",
    split_names={"train": "test"},
    columns=(
        *VARIANT_COLUMNS,
        CONSEQUENCE,
        Column("actual", "string", "base found in the genome; equal to `ref`"),
    ),
    labels_in_hdf5=False,
    metric="auroc",
    recipe=None,
    rows={"test": 105_263},
    positives=7_937,
    sources=(
        Source("DeepSEA (GRASP and 1000 Genomes Project)", "10.1038/nmeth.3547", "zhou2015deepsea"),
        VEP,
    ),
    caveats=(
        "The released file holds chr1 and chr10 only (plus one row on chr9), so it looks truncated.",
        "Not for clinical use.",
    ),
)

VARIANT_EFFECTS_DISEASE = Task(
    name="variant_effects_disease",
    dataset="variant_effects",
    config="disease",
    title="Variant effects (disease)",
    summary="Rank single-nucleotide variants by their pathogenicity according to ClinVar, zero-shot.",
    label_kind="variant_binary",
    label_names=("benign", "pathogenic"),
    label_naming="released",
    build="GRCh38",
    stranded=False,
    window=1024,
    bin_size=None,
    split_scheme="none",
    split_names={"train": "test"},
    columns=(
        *VARIANT_COLUMNS,
        Column("full_label", "string", "ClinVar's own classification", row=True),
        CONSEQUENCE,
    ),
    labels_in_hdf5=False,
    metric="auroc",
    recipe=None,
    rows={"test": 295_495},
    positives=21_458,
    sources=(Source("ClinVar", "10.1093/nar/gkz972", "landrum2020clinvar"), VEP),
    caveats=("Not for clinical use.",),
)
