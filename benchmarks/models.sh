#!/bin/bash
# The models that come with varscore, trained from scratch: about nineteen hours of one CPU thread.
#
#   benchmarks/models.sh OUT
#
# OUT/ID are the models, fit to take the place of models/ID once their cards say `default`, `licence`, `intended_use` and
# `limits`; benchmarks/classifiers/make.sh then adds background and classifiers. The same command carries on after a kill.
# The environment may say
#   DATA      folder with genome/, motifs/ and peaks/   (shared/data beside the checkout)
#   THREADS   CPUs                                      (1)
#
# Networks start on 400-bp windows, where an epoch takes less than half the time and motifs are found sooner, and go on
# with 1000 bp. Every stage ends its cosine schedule, so that each is a model of its own.
set -euo pipefail

out=${1:?OUT}
mkdir -p "$out"
out=$(cd "$out" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
data=$(cd "${DATA:-$root/../shared/data}" && pwd)
threads=${THREADS:-1}
export PATH=$root/.venv/bin:$PATH OMP_NUM_THREADS=$threads
cd "$out"

# dataset NAME FOLDER GENOME OPTION...: every bin of a genome and its peaks, chr7 for validation, chr8 and chr9 for the test
dataset() {
    [ -d "$1" ] || varscore dataset peaks -r "$data/$2genome/$3" --peaks "$data/$2peaks/deepsea207" --bins all -o "$1" "${@:4}"
}

# Five tracks were not measured on chrX (unknown.tsv), many not on chrY. To train: more207, the longer genome, or old207, the
# shorter one, without the blacklist; more207.s100 has bins between those of more207: new examples of the same peaks. To
# test: floor207, all 29,756 bins of chr8 and chr9 of the shorter genome.
unknown=$root/benchmarks/unknown.tsv
short=hg19.masked.fa.gz
long=hg19.masked104.fa.gz
larger=(--exclude "$data/more/genome/blacklist.bed.gz" --unknown "$unknown" --skip-contigs chrY)
dataset more207 more/ $long "${larger[@]}"
dataset more207.s100 more/ $long "${larger[@]}" --shift 100
dataset more207.two more/ $long "${larger[@]}" --shift 45 --shift 155
# Further tracks that help to learn motifs, on a third grid: ChIP peaks of 31 factors in 10 cells, never measured on chr1,
# chr8 and chr21, and open chromatin, CTCF and Pol II of tissues.
{
    awk -F'\t' -v OFS='\t' -v folder="$data/more/peaks/deepsea207/" '
        NR == 1 { for (i = 1; i <= NF; i++) if ($i == "file") file = i; print $0, "name", "group"; next }
        { $file = folder $file; print $0, "", "" }' "$data/more/peaks/deepsea207/tracks.tsv"
    further=("$data"/more/binding/chip_conservative/*.bed.gz "$data"/more/peaks/encode62/{ctcf,dnase,rnapol}.*.bed.gz
        "$data"/more/peaks/brain12/ATAC.*.bed.gz)
    for peaks in "${further[@]}"; do
        printf '\t\t\t\t%s\t\t\t\t\t\t\t\taux:%s\taux\n' "$peaks" "$(basename "$peaks" .bed.gz)"
    done
} > more353.tsv
{ cat "$unknown"; printf 'ChIPseq.*\tchr%s\n' 1 8 21; } > unknown353.tsv
more353() {
    [ -d "$1" ] || varscore dataset peaks -r "$data/more/genome/$long" --peaks more353.tsv --bins all -o "$1" \
        --exclude "$data/more/genome/blacklist.bed.gz" --unknown unknown353.tsv --skip-contigs chrY "${@:2}"
}
for shift in 25 50 150; do
    more353 more353.s$shift --shift $shift
done
more353 more353.grids --shift 25 --shift 75 --shift 125 --shift 175
more353 more353.eight --shift 12 --shift 37 --shift 62 --shift 87 --shift 112 --shift 137 --shift 162 --shift 187
more353 more353.next --shift 6 --shift 31 --shift 56 --shift 81 --shift 106 --shift 131 --shift 156 --shift 181
dataset old207 "" $short --exclude "$data/genome/blacklist.bed.gz" --unknown "$unknown"
dataset floor207 "" $short --unknown "$unknown"

# train ARCH MODEL OPTION...
train() {
    varscore train-chromatin "$1" -o "$2" --optimizer adam --batch-size 64 --schedule cosine --ema 0.999 --clip-norm 1 \
        --threads "$threads" "${@:3}"
}

motifs=$data/motifs/JASPAR2018_CORE_vertebrates.txt

# the default model: all bins, neighbouring ones read together, on a CPU that multiplies in bf16; then remake.sh
fast=(--precision bf16 --threads "$threads")
varscore train-chromatin dilated --data more207 -o dilated.stage1 --init-motifs "$motifs" --seed 2 --lr 5e-3 --epochs 12 \
    "${fast[@]}"
varscore train-chromatin dilated --data more207.s100 -o dilated.stage2 --init-from dilated.stage1 --seed 3 --lr 4e-3 \
    --ema 0.9995 --epochs 13 "${fast[@]}"
varscore train-chromatin dilated --data more353.s50 -o dilated.stage3 --init-from dilated.stage2 --seed 4 --lr 3e-3 \
    --ema 0.9995 --epochs 9 "${fast[@]}"
# idle filters begin anew as motifs that no filter resembles
renewed=(--init-motifs "$motifs" --lr 3e-3 --warmup-steps 150 --ema 0.9995 "${fast[@]}")
varscore train-chromatin dilated --data more353.s150 "${renewed[@]}" -o dilated.stage4 --init-from dilated.stage3 \
    --renew-filters 96 --seed 5 --epochs 2
varscore train-chromatin dilated --data more353.s150 "${renewed[@]}" -o dilated.stage5 --init-from dilated.stage4 \
    --renew-filters 48 --seed 6 --epochs 14
# of these twelve passes the seventh was the best; the run was ended in the eleventh
varscore train-chromatin dilated --data more353.s25 "${renewed[@]}" -o dilated.stage6 --init-from dilated.stage5 \
    --renew-filters 48 --seed 7 --epochs 12
# four grids at once: a pass is as long as four; of these three the second was the best
varscore train-chromatin dilated --data more353.grids -o dilated.stage7 --init-from dilated.stage6 --seed 8 --lr 2.5e-3 \
    --warmup-steps 150 --ema 0.9995 --epochs 3 "${fast[@]}"
# one pass over eight grids, down to a rate of 0; and two with more dropout: not as good alone, but right where the other errs
eighth=(--data more353.eight --init-from dilated.stage7 --warmup-steps 150 --ema 0.9995 "${fast[@]}")
varscore train-chromatin dilated "${eighth[@]}" -o dilated.stage8 --seed 10 --lr 2e-3 --epochs 1
varscore train-chromatin dilated "${eighth[@]}" -o dilated.stage8.dropout --seed 9 --lr 2.5e-3 --epochs 2 \
    --arg channel_dropout=0.15 --arg dropout=0.3 --weight-decay 0.02
# what both say, and the labels, of eight further grids
varscore train-chromatin dilated --data more353.next -o dilated.stage9 --init-from dilated.stage8 --seed 12 --lr 2e-3 \
    --warmup-steps 150 --ema 0.9995 --epochs 1 --teacher dilated.stage8.dropout --teacher dilated.stage8 "${fast[@]}"
varscore models select dilated.stage9 --tasks '*|*' -o dilated.hg19-207 --force
cp dilated.stage9/{history.csv,learning_curve.png} dilated.hg19-207

# what the others that come with varscore were trained on: bins with a label and a third of the others
thinned=(--exclude "$data/genome/blacklist.bed.gz" --unlabelled 0.33)
dataset hg19.207 "" $short "${thinned[@]}"
dataset hg19.w400 "" $short "${thinned[@]}" --window 400

varscore train-chromatin kmer --data hg19.207 -o kmer.hg19-207 --seed 1 --threads "$threads"

crnn=crnn-320-projection
train $crnn $crnn.400bp --data hg19.w400 --init-motifs "$motifs" --prior-bias --lr 1e-3 --epochs 4 --warmup-steps 300 --seed 1
train $crnn $crnn.stage2 --data hg19.207 --init-from $crnn.400bp --lr 5e-4 --epochs 1 --warmup-steps 300 --seed 1
train $crnn $crnn.stage3 --data hg19.207 --init-from $crnn.stage2 --lr 5e-4 --epochs 2 --warmup-steps 200 --seed 2
train $crnn $crnn.stage4 --data hg19.207 --init-from $crnn.stage3 --lr 5e-4 --epochs 3 --warmup-steps 200 --seed 3
# and on over all bins, three times as many
further=(--recipe fast --lr 1.5e-3 --warmup-steps 100 "${fast[@]}")
varscore train-chromatin $crnn --data more207.s100 -o $crnn.stage5 --init-from $crnn.stage4 --seed 4 --epochs 2 "${further[@]}"
# two grids that it has not seen, taught by the default as it was after its eighth stage
varscore train-chromatin $crnn --data more207.two -o $crnn.hg19-207 --init-from $crnn.stage5 --seed 5 --epochs 1 \
    --teacher dilated.stage8 --teacher-share 0.7 "${further[@]}"

# the one that comes with varscore was stopped in its first stage, after three quarters of an epoch at the full rate
danq=(--arg dense=360 --prior-bias --seed 1)
train danq danq.400bp --data hg19.w400 "${danq[@]}" --init-motifs "$motifs" --lr 1e-3 --epochs 1 --warmup-steps 300
train danq danq.stage2 --data hg19.207 "${danq[@]}" --init-from danq.400bp --lr 7e-4 --epochs 2 --warmup-steps 200 --storage fp16
varscore train-chromatin danq --data more207 -o danq.hg19-207 --arg dense=360 --init-from danq.stage2 --seed 2 --epochs 1 \
    --storage fp16 "${further[@]}"

# evaluate MODEL DATA OPTION...: on the test chromosomes, all bins and those with a label; --record puts the figures on the card
evaluate() {
    varscore evaluate "$1" --data "$2" -o "$1.test" --record --force --threads "$threads" "${@:3}"
    varscore evaluate "$1" --data "$2" -o "$1.labelled" --labelled-only --record --force --threads "$threads" "${@:3}"
}

evaluate kmer.hg19-207 hg19.207
evaluate $crnn.hg19-207 floor207 --compare kmer.hg19-207
evaluate danq.hg19-207 floor207 --compare kmer.hg19-207
