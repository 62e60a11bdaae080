#!/bin/bash
# Everything that hangs on a model, made anew from a trained one: figures, priors, background, classifiers, motif table.
#
#   benchmarks/remake.sh TRAINED ID OUT
#
# TRAINED is what train-chromatin wrote, or a model's folder; benchmarks/cards/ID.toml is what a person says of it. OUT/ID
# is then fit to take the place of models/ID; with INSTALL=1 it does, and golden predictions are made anew. About half an
# hour of one CPU thread. The environment may say
#   DATA      folder with genome/, labels/, peaks/, ...              (shared/data beside the checkout)
#   SETS      folder of the data sets that models.sh made            (OUT)
#   COMPARE   models that it is compared with                        (the bundled ones)
#   THREADS   CPUs                                                   (1)
set -euo pipefail

trained=${1:?TRAINED} id=${2:?ID} out=${3:?OUT}
mkdir -p "$out"
out=$(cd "$out" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
data=$(cd "${DATA:-$root/../shared/data}" && pwd)
sets=$(cd "${SETS:-$out}" && pwd)
threads=${THREADS:-1}
export PATH=$root/.venv/bin:$PATH OMP_NUM_THREADS=$threads
varscore() { python -m varscore "$@"; }
own=$out/$id

rm -rf "$own"
mkdir -p "$own"
for name in card.toml tasks.tsv model.safetensors history.csv learning_curve.png priors.tsv; do
    [ ! -f "$trained/$name" ] || cp "$trained/$name" "$own"
done
python "$root/benchmarks/cards/bundle.py" about "$own" "$root/benchmarks/cards/$id.toml"
[ -f "$own/priors.tsv" ] || varscore models priors "$own" --data "${TRAINED_ON:-$sets/more207}"

# all 29,756 bins of chr8 and chr9, and those of them with a label
compare=()
for other in ${COMPARE-$(cd "$root/models" && ls)}; do
    [ "$other" = "$id" ] || compare+=(--compare "$other")
done
evaluate() {
    varscore evaluate "$own" --data "$sets/floor207" --record --force --threads "$threads" "${compare[@]}" "$@"
}
evaluate -o "$out/test"
evaluate -o "$out/labelled" --labelled-only

# where it is not ahead of the others, with intervals
for other in kmer.hg19-207 crnn-320-projection.hg19-207; do
    python "$root/benchmarks/cards/losers.py" "$own" "$other" --data "$sets/floor207" --json "$out/losers.test.$other.json"
    python "$root/benchmarks/cards/losers.py" "$own" "$other" --data "$sets/floor207" --labelled-only \
        --json "$out/losers.labelled.$other.json"
done

python "$root/benchmarks/cards/calibration.py" "$own" "$sets/floor207:test" "$sets/more207:validation" \
    --json "$out/calibration.json"

python "$root/benchmarks/motifs.py" "$own" --data "$sets/floor207" --metrics "$own/metrics.csv" --json "$out/motifs.json" |
    tee "$out/motifs.md"
python "$root/benchmarks/cards/bundle.py" motifs "$own" "$out/motifs.json"

DATA=$data THREADS=$threads "$root/benchmarks/classifiers/make.sh" "$own" "$out/classified"

# the tables of docs/models.md; MOTIFS_BESIDE names what motifs.py has said of other models: "k-mers=FILE ..."
read -ra beside <<<"${MOTIFS_BESIDE-}"

if [ "${INSTALL-}" ]; then
    rm -rf "$root/models/$id"
    cp -r "$out/classified/$id" "$root/models/$id"
    python "$root/benchmarks/cards/bundle.py" golden
    python "$root/benchmarks/cards/page.py" "$out" "${beside[@]}"
fi
