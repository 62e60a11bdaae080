#!/bin/bash
# The networks of the papers on the same bins with the same budget, EPOCHS passes over DeepSEA's kind of bins (those with
# a transcription-factor peak) of 400 bp, and a k-mer baseline.
#
#   benchmarks/networks.sh OUT
#
# Writes OUT/comparison/: the models on all labelled bins of the test chromosomes. Carries on after a kill. The
# environment may say
#   DATA      folder with genome/, motifs/ and peaks/   (shared/data beside the checkout)
#   EPOCHS    of training for each network              (3, which take some two hours of one CPU thread in all)
#
# So short a training asks how fast a network learns, not how far it gets. All have one recipe but k-mers, which are
# trained to the end.
set -euo pipefail

out=${1:?OUT}
mkdir -p "$out"
out=$(cd "$out" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
data=$(cd "${DATA:-$root/../shared/data}" && pwd)
export PATH=$root/.venv/bin:$PATH OMP_NUM_THREADS=1
cd "$out"

# dataset NAME OPTION...
dataset() {
    [ -d "$1" ] || varscore dataset peaks -r "$data/genome/hg19.masked.fa.gz" --peaks "$data/peaks/deepsea207" \
        --window 400 --exclude "$data/genome/blacklist.bed.gz" -o "$@"
}
dataset tf --bins tf
dataset labelled --bins any
motifs=$data/motifs/JASPAR2018_CORE_vertebrates.txt

models=()
# train MODEL ARCH OPTION...
train() {
    models+=("$1")
    [ -f "$1.done" ] && return
    varscore train-chromatin "$2" --data tf -o "$1" --seed 1 --threads 1 --checkpoint-minutes 2 "${@:3}"
    touch "$1.done"
}
recipe=(--optimizer adam --batch-size 64 --lr 1e-3 --warmup-steps 100 --schedule cosine --ema 0.99 --clip-norm 1
    --prior-bias --epochs "${EPOCHS:-3}")
train kmer kmer
train crnn-320-projection crnn-320-projection "${recipe[@]}"
train crnn-320-projection.jaspar crnn-320-projection "${recipe[@]}" --init-motifs "$motifs"
train crnn-700-projection crnn-700-projection "${recipe[@]}"
train danq danq "${recipe[@]}"
train deepsea deepsea "${recipe[@]}"
train crnn-320 crnn-320 "${recipe[@]}"
train crnn-700 crnn-700 "${recipe[@]}"
train danq-jaspar danq-jaspar "${recipe[@]}" --init-motifs "$motifs"

compare=()
for model in "${models[@]:1}"; do compare+=(--compare "$model"); done
varscore evaluate "${models[0]}" --data labelled "${compare[@]}" --labelled-only -o comparison --force --threads 1
