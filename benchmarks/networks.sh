#!/bin/bash
# The networks of the papers on the same bins with the same budget: MINUTES of one CPU thread each, and a k-mer baseline.
#
#   benchmarks/networks.sh OUT
#
# Writes OUT/comparison/. Carries on after a kill, with what is missing. The environment may say
#   DATA      folder with genome/, motifs/ and peaks/   (shared/data beside the checkout)
#   MINUTES   of training for each network              (10)
#
# So short a training asks how fast a network learns, not how far it gets: 400-bp windows, one recipe, and the rate stays
# as it is; what is evaluated is the average of the weights.
set -euo pipefail

out=${1:?OUT}
mkdir -p "$out"
out=$(cd "$out" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
data=$(cd "${DATA:-$root/../shared/data}" && pwd)
minutes=${MINUTES:-10}
export PATH=$root/.venv/bin:$PATH OMP_NUM_THREADS=1 VARSCORE_REFERENCE=$data/genome/hg19.masked.fa.gz
cd "$out"

[ -d bins ] || varscore dataset peaks --peaks "$data/peaks/deepsea207" --bins all --unlabelled 0.33 --window 400 \
    --exclude "$data/genome/blacklist.bed.gz" -o bins
motifs=$data/motifs/JASPAR2018_CORE_vertebrates.txt

models=()
# train MODEL ARCH OPTION...
train() {
    models+=("$1")
    [ -f "$1.done" ] && return
    varscore train-chromatin "$2" --data bins -o "$1" --seed 1 --threads 1 --max-minutes "$minutes" "${@:3}"
    touch "$1.done"
}
recipe=(--optimizer adam --batch-size 64 --lr 1e-3 --warmup-steps 300 --schedule constant --ema 0.999 --clip-norm 1
    --prior-bias --epochs 100)
train crnn-320-projection crnn-320-projection "${recipe[@]}"
train danq danq "${recipe[@]}"
train deepsea deepsea "${recipe[@]}"
train crnn-320-projection.jaspar crnn-320-projection "${recipe[@]}" --init-motifs "$motifs"
train danq-jaspar danq-jaspar "${recipe[@]}" --init-motifs "$motifs"
train crnn-700-projection crnn-700-projection "${recipe[@]}"
train crnn-320 crnn-320 "${recipe[@]}"
train crnn-700 crnn-700 "${recipe[@]}"
train kmer kmer

compare=()
for model in "${models[@]:1}"; do compare+=(--compare "$model"); done
varscore evaluate "${models[0]}" --data bins "${compare[@]}" --labelled-only -o comparison --force --threads 1
