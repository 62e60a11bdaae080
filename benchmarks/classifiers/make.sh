#!/bin/bash
# The background and the classifiers that come with a model, made anew, and the tables of how good they are.
#
#   benchmarks/classifiers/make.sh MODEL OUT
#
# OUT/MODEL is the model with its background and classifiers, fit to take the place of models/MODEL; OUT/runs has every
# classifier's predictions and pictures, OUT/tables.md the tables. The environment may say
#   DATA         folder with genome/, labels/, tss/ and variants/   (shared/data beside the checkout)
#   BASELINE     model whose features are tested in the same folds  (kmer.hg19-207)
#   CLASSIFIERS  those that are tried                               (promoter-constraint raqtl-k562 gwas)
#   THREADS      CPUs                                               (1)
set -euo pipefail

model=${1:?MODEL} out=${2:?OUT}
mkdir -p "$out"
out=$(cd "$out" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
data=${DATA:-$root/../shared/data}
baseline=${BASELINE:-kmer.hg19-207}
threads=${THREADS:-1}
read -ra tried <<<"${CLASSIFIERS:-promoter-constraint raqtl-k562 gwas}"
export PATH=$root/.venv/bin:$PATH OMP_NUM_THREADS=$threads VARSCORE_REFERENCE=$data/genome/hg19.masked.fa.gz

from=$(varscore models path "$model")
id=$(basename "$from")
own=$out/$id runs=$out/runs
mkdir -p "$own" "$runs"
cp "$from"/* "$own" 2>/dev/null || true # its files, not the folders in it
rm -rf "$own/background.safetensors" "$own/classifiers"
beside=()
[ "$id" = "$baseline" ] || beside=(--baseline-model "$baseline")

echo "== background"
varscore background "$own" --vcf "$data/variants/1kg_phase3_chr20_1-2Mb.vcf.gz" \
    --vcf "$data/variants/1kg_phase3_chr22_genotypes.vcf.gz" --vcf "$data/variants/dbsnp_common_chr20-22.vcf.gz" \
    --exclude "$data/genome/blacklist.bed.gz" --min-af 0.01 --threads "$threads" -o "$own/background.safetensors"

# train NAME OPTION...: shallow trees, because the labels are weak
train() {
    echo "== $1"
    varscore train-snp -m "$own" -o "$runs/$1" --depth 3 --max-bin 64 --threads "$threads" --force \
        "${@:2}" | tee "$runs/$1.txt"
}

# bundle NAME: what annotate reads, figures and pictures; not predictions.tsv, which would be a copy of the data
bundle() {
    mkdir -p "$own/classifiers/$1"
    (cd "$runs/$1" && cp card.toml classifier.json scaler.json metrics.* importance.csv ./*.png "$own/classifiers/$1")
}

labels=$data/labels tss=$data/tss/epdnew_human_hg19.bed
simulated=$labels/promoter_snvs_simulated.tsv.gz derived=$labels/promoter_snvs_derived.tsv.gz
raqtl=(--positives "$labels/sure_raqtl_k562.tsv" --negatives "$derived" --match-tss "$tss" --group-by chrom)
promoter=(--positives "$simulated" --negatives "$derived" --match-tss "$tss" --group-by chrom)

# Matching makes the classes equal within each chromosome; folds of chromosomes keep them so in every training set. The
# second of a pair has other matching: what alleles and neighbouring bases alone are worth.
try() {
    case $1 in
    promoter-constraint)
        train "$1" "${promoter[@]}" --match-context "${beside[@]}" --about "$here/promoter-constraint.toml"
        train "$1.any-context" "${promoter[@]}"
        ;;
    raqtl-k562)
        train "$1" "${raqtl[@]}" "${beside[@]}" --about "$here/raqtl-k562.toml"
        train "$1.same-context" "${raqtl[@]}" --match-context "${beside[@]}"
        ;;
    gwas)
        train "$1" "${beside[@]}" --positives "$labels/gwas_catalog_chr20_chr22.tsv" --restrict "$here/gwas.bed" --match-af \
            --distance 360,710,6300,random --negatives-from "$data/variants/1kg_phase3_chr20_1-2Mb.vcf.gz" \
            --negatives-from "$data/variants/1kg_phase3_chr22_genotypes.vcf.gz" \
            --negatives-from "$data/variants/dbsnp_common_chr20-22.vcf.gz" --about "$here/gwas.toml"
        ;;
    *)
        echo "CLASSIFIERS: $1 is none" >&2
        return 2
        ;;
    esac
}
# what tells nothing, by the interval of its AUROC, or no more than counted k-mers do in the same folds, is no classifier
tells() {
    python -c 'import csv, sys
found = [row for row in csv.DictReader(open(sys.argv[1])) if (row["set"], row["negatives_group"]) == ("cross-validation", "all")]
own, *others = (float(row["auroc"]) for row in found)
sys.exit(not (float(found[0]["auroc_low"]) > 0.5 and all(own > other for other in others)))' "$runs/$1/metrics.csv"
}
for name in "${tried[@]}"; do
    try "$name"
    if tells "$name"; then bundle "$name"; else echo "== $name tells nothing and is left out"; fi
done

python "$here/tables.py" "$runs" >"$out/tables.md"
python "$root/benchmarks/raqtl.py" "$labels/sure_raqtl_k562.tsv" -r "$VARSCORE_REFERENCE" -m "$own" \
    $([ "$id" = "$baseline" ] || echo -m "$baseline") >>"$out/tables.md"
varscore models verify "$own"
cat "$out/tables.md"
