"""Parameters of every network with 919 tasks: with one LSTM bias vector a gate (the papers) and with torch's two."""

from __future__ import annotations

from typing import Any

Row = tuple[str, dict[str, Any], int, int]
SIZES = (320, 500, 700, 1000)

# DanQ's paper, the table of Hawkins-Hooker, Kenlay & Reid; DeepSEA's from its layers, and of its script's hidden size;
# of the dilated network, too, by adding up its layers
ROWS: list[Row] = [
    ("deepsea", {}, 52_843_119, 52_843_119),
    ("deepsea", {"dense": 919}, 52_532_319, 52_532_319),
    ("danq", {}, 46_926_479, 46_929_039),
    ("danq-jaspar", {}, 67_892_175, 67_896_271),
    ("crnn-320-projection", {}, 2_477_479, 2_479_879),
    ("crnn-320", {}, 2_727_335, 2_729_735),
    ("crnn-700-projection", {}, 2_547_779, 2_550_179),
    ("crnn-700", {}, 3_174_595, 3_176_995),
    ("dilated", {}, 1_042_007, 1_042_007),
    ("kmer", {}, 1_254_435, 1_254_435),
]
CNN_500 = {
    "cnn-500": (9_930_071, 10_197_371, 10_494_371, 10_939_871),
    "cnn-500-projection": (9_590_103, 9_615_483, 9_643_683, 9_685_983),
}
DANQ_500 = {
    "danq-500": (7_882_319, 8_045_219, 8_226_219, 8_497_719),
    "danq-500-projection": (7_697_999, 7_728_419, 7_762_219, 7_812_919),
}
SECOND_BIAS = 2 * 4 * 100
ROWS += [
    (name, {"filters": size}, count, count + more)
    for table, more in ((CNN_500, 0), (DANQ_500, SECOND_BIAS))
    for name, counts in table.items()
    for size, count in zip(SIZES, counts, strict=True)
]

# binding of transcription factors, with as many tasks as the arguments say: of the thesis the first and the fourth, the
# others by adding up their layers
BINDING: list[Row] = [
    ("binding-shallow", {}, 246_559, 246_559),
    ("binding-shallow", {"tracks": 0}, 196_557, 196_557),
    ("binding-deep", {}, 588_991, 588_991),
    ("binding-multitask", {"n_tasks": 32}, 25_668_200, 25_668_200),
]

# 101 bp, with as many tasks as the arguments say: of the papers the last two, the others by adding up their layers
TFBS: list[Row] = [
    ("deepbind", {}, 2_129, 2_129),
    ("deepbind", {"dense": 0}, 1_569, 1_569),
    ("deepmotif", {}, 136_193, 136_193),
    ("deepmotif", {"n_tasks": 2}, 136_322, 136_322),
    ("attentionnet", {}, 299_396, 299_396),
]

# promoters of 2000 bp: the papers' one output, eleven lineages, and 243 cell types
EXPRESSION: list[Row] = [
    ("promoternet", {"n_tasks": 1}, 141_780, 141_844),
    ("promoternet", {"n_tasks": 11}, 144_350, 144_414),
    ("promoternet", {"n_tasks": 243}, 203_974, 204_038),
]
