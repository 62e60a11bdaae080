"""One variant, one score: files that spell the same variants differently, through whole commands."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow.parquet as pq
import pysam
import pysam.bcftools
import pytest
from spellings import random_alleles, repeats, respelled, vcf_of

from varscore.cli.boundary import run
from varscore.scoring.evalue import load_background
from varscore.zoo.models import ModelFolder

dice = random.Random(11)
SEQUENCE = repeats(20_000, dice)
HEADER = "##fileformat=VCFv4.2\n##contig=<ID=c,length=20000>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
Site = tuple[int, str, list[str]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: ModelFolder) -> Path:
    """The working directory, with the genome."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VARSCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VARSCORE_CONFIG", str(tmp_path / "none.toml"))
    Path("g.fa").write_text(f">c\n{SEQUENCE}\n")
    monkeypatch.setenv("VARSCORE_REFERENCE", "g.fa")
    return tmp_path


def annotate(words: str, status: int = 0) -> None:
    assert run(["annotate", *words.split(), "--threads", "1", "--force"]) == status


def tags(path: str) -> dict[tuple[str, int], dict[str, str]]:
    """What every allele got, by ID and INFO/AI, or by ID and its place in the record."""
    found = {}
    for line in Path(path).read_text().splitlines():
        if not line.startswith("#"):
            info = dict(entry.split("=") for entry in line.split("\t")[7].split(";"))
            columns = {name: text.split(",") for name, text in info.items()}
            number = columns.pop("AI", [str(i) for i in range(len(columns["VS_STATUS"]))])
            for i, which in enumerate(number):
                found[line.split("\t")[2], int(which)] = {name: values[i] for name, values in columns.items()}
    return found


def snvs(count: int) -> list[tuple[int, str, str]]:
    """Substitutions in known sequence, not all in upper case."""
    known = [at for at in range(200, len(SEQUENCE) - 200) if "N" not in SEQUENCE[at - 60 : at + 60].upper()]
    return [(at, SEQUENCE[at], other(at)) for at in sorted(dice.sample(known, count))]


def other(at: int) -> str:
    return "CGTA"["ACGT".index(SEQUENCE[at].upper())]


def lines_of(alleles: list[tuple[int, str, str]], name: str = "v") -> str:
    rows = [f"c\t{at + 1}\t{name}{row}\t{ref}\t{alt}\t.\t.\t." for row, (at, ref, alt) in enumerate(alleles)]
    return HEADER + "\n".join(rows) + "\n"


def test_five_thousand_variants_and_what_bcftools_norm_makes_of_them() -> None:
    Path("in.vcf").write_text(vcf_of("c", SEQUENCE, [random_alleles(SEQUENCE, dice) for _ in range(3300)]))
    Path("norm.vcf").write_text(pysam.bcftools.norm("-m-", "-f", "g.fa", "in.vcf"))
    annotate("in.vcf -o out.vcf --engine plain")  # faster for so small a network
    annotate("norm.vcf -o norm.out.vcf --engine plain")
    ours, theirs = tags("out.vcf"), tags("norm.out.vcf")
    assert len(ours) > 5000 and ours == theirs
    assert sum(tag["VS_STATUS"] == "PASS" for tag in ours.values()) > 4500
    written = [line.split("\t") for line in Path("in.vcf").read_text().splitlines() if line[0] != "#"]
    kept = [line.split("\t") for line in Path("out.vcf").read_text().splitlines() if line[0] != "#"]
    assert [row[:7] for row in kept] == [row[:7] for row in written]
    assert all(row[7].startswith(f"{before[7]};VS_STATUS=") for row, before in zip(kept, written, strict=True))


def test_the_exact_engine_gives_one_variant_the_same_bits_in_every_file() -> None:
    Path("in.vcf").write_text(vcf_of("c", SEQUENCE, [random_alleles(SEQUENCE, dice) for _ in range(250)]))
    Path("norm.vcf").write_text(pysam.bcftools.norm("-m-", "-f", "g.fa", "in.vcf"))
    for name in ("in", "norm"):
        annotate(f"{name}.vcf -o {name}.out.vcf")
        annotate(f"{name}.vcf -o {name}.raw.vcf --as-written")
    ours, raw = tags("in.out.vcf"), tags("in.raw.vcf")
    assert ours == tags("norm.out.vcf") == tags("norm.raw.vcf")  # where all is spelled so
    assert sum(raw[key] != ours[key] for key in raw) > 50
    assert "--as-written" in Path("in.raw.vcf").read_text() and "--as-written" not in Path("in.out.vcf").read_text()


def test_padding_and_neighbours_change_no_bit() -> None:
    """An SNV alone, padded on either side, beside other ALTs, in the scores of every task."""
    spelled = []
    for at, ref, alt in snvs(40):
        longer = SEQUENCE[at : at + 9]
        sites: list[Site] = [(at, ref, [alt])]
        sites += [(at - n, SEQUENCE[at - n : at] + ref, [SEQUENCE[at - n : at] + alt]) for n in (1, 3, 55)]
        sites += [(at, longer, [alt + longer[1:]]), (at, longer, [alt + longer[1:], longer[0], longer + "AC"])]
        spelled.append(sites)
    alone = []
    for way in zip(*spelled, strict=True):
        records = [f"c\t{at + 1}\t.\t{ref}\t{','.join(alts)}\t.\t.\t.\n" for at, ref, alts in way]
        Path("in.vcf").write_text(HEADER + "".join(records))
        annotate("in.vcf -o out.vcf --scores s.parquet")
        table = pq.read_table("s.parquet").to_pylist()
        step = len(way[0][2])
        names = ("status", "ref_prob", "alt_prob", "diff", "logodds")
        alone.append([[row[name] for name in names] for row in table[::step]])
    assert len(alone) == 6 and {row[0] for row in alone[0]} == {"PASS"}
    for way in alone[1:]:
        assert way == alone[0]


def test_shards_of_a_file_with_many_spellings_are_the_whole() -> None:
    alleles = [
        respelled(SEQUENCE, at, ref, alts[0], dice)
        for at, ref, alts in (random_alleles(SEQUENCE, dice) for _ in range(1100))
    ]
    Path("in.vcf").write_text(lines_of(sorted(alleles)))
    annotate("in.vcf -o whole.vcf --engine plain")
    for shard in (1, 2):
        annotate(f"in.vcf -o s{shard}.vcf --shard {shard}/2 --engine plain")
    assert run(["merge", "s1.vcf", "s2.vcf", "-o", "merged.vcf"]) == 0
    assert Path("merged.vcf").read_bytes() == Path("whole.vcf").read_bytes()


def test_a_background_counts_a_variant_once_and_is_the_same_for_every_spelling(tiny_model: ModelFolder) -> None:
    forms = [(at, ref, alts[0]) for at, ref, alts in (random_alleles(SEQUENCE, dice) for _ in range(300))]
    others = [respelled(SEQUENCE, *allele, dice) for allele in forms]
    made = []
    for name, alleles in (("a", forms), ("b", others), ("both", [*forms, *others])):
        Path(f"{name}.vcf").write_text(lines_of(sorted(alleles)))
        assert run(["background", "tiny", "--vcf", f"{name}.vcf", "-o", f"{name}.st", "--threads", "1"]) == 0
        made.append(load_background(Path(f"{name}.st"), tiny_model.sha256, 3))
    for other_one in made[1:]:
        assert other_one.n == made[0].n
        assert (other_one.tail == made[0].tail).all()


def test_conservation_is_read_where_the_variant_is(tiny_model: ModelFolder) -> None:
    pybigtools = pytest.importorskip("pybigtools")
    values = [("c", at, at + 1, float(at)) for at in range(len(SEQUENCE))]
    pybigtools.open("cons.bw", "w").write({"c": len(SEQUENCE)}, values)
    alleles = snvs(40)
    padded = [(at - 3, SEQUENCE[at - 3 : at] + ref, SEQUENCE[at - 3 : at] + alt) for at, ref, alt in alleles]
    found = []
    for name, spelled in (("a", alleles), ("b", padded)):
        Path(f"{name}.vcf").write_text(lines_of(spelled))
        words = ["background", "tiny", "--vcf", f"{name}.vcf", "-o", f"{name}.st", "--threads", "1"]
        assert run([*words, "--conservation", "cons=cons.bw"]) == 0
        found.append(load_background(Path(f"{name}.st"), tiny_model.sha256, 3).tail)
        annotate(f"{name}.vcf -o {name}.out.vcf --background a.st --conservation cons=cons.bw")
    assert (found[0] == found[1]).all()
    assert sorted(found[0][-1].tolist()) == [float(at) for at, *_ in alleles]
    assert tags("a.out.vcf") == tags("b.out.vcf") and "VS_SIG" in tags("a.out.vcf")["v0", 0]


def test_swapped_alleles_are_called_so(capsys: pytest.CaptureFixture[str]) -> None:
    alleles = snvs(9)
    swapped = [(at, alt, ref) for at, ref, alt in alleles[:7]]
    last = alleles[8][0]
    wrong = [(last, other(last), "CGTA"["ACGT".index(other(last))])]
    Path("in.vcf").write_text(lines_of([*swapped, alleles[7], *wrong]))
    for more, status in (("", "REF_MISMATCH"), ("--check-ref skip", "PASS")):
        annotate(f"in.vcf -o out.vcf {more}")
        found = [tag["VS_STATUS"] for tag in tags("out.vcf").values()]
        assert found == ["SWAPPED"] * 7 + ["PASS", status]
        (said,) = [line for line in capsys.readouterr().err.splitlines() if "swapped" in line]
        assert said.startswith("varscore: warning: 7 alleles have REF and ALT swapped: ALT is what g.fa has; ")
        assert "`bcftools norm -c s`" in said
    annotate("in.vcf -o error.vcf --check-ref error", status=2)
    assert "REF and ALT are swapped" in capsys.readouterr().err and not Path("error.vcf").exists()
    Path("fixed.vcf").write_text(pysam.bcftools.norm("-c", "s", "-f", "g.fa", "in.vcf"))
    annotate("fixed.vcf -o fixed.out.vcf")
    assert [tag["VS_STATUS"] for tag in tags("fixed.out.vcf").values()] == ["PASS"] * 9


def test_structural_variants_with_n_for_the_genome_s_base() -> None:
    at = next(at for at in range(2000, 20_000) if "N" not in SEQUENCE[at - 60 : at + 60].upper())
    base, deleted = SEQUENCE[at].upper(), SEQUENCE[at : at + 31].upper()
    alleles = [(at, "N", "ACGTACGTAG"), (at, base, "ACGTACGTAG"), (at, deleted, "N"), (at, deleted, base)]
    alleles += [(at, "N", base), (at, base, "N"), (at, deleted, "<DEL>"), (at, "N", "<INS>")]
    Path("in.vcf").write_text(lines_of(alleles))
    annotate("in.vcf -o out.vcf")
    found = list(tags("out.vcf").values())
    assert [tag["VS_STATUS"] for tag in found] == ["PASS"] * 4 + ["NON_ACGT"] * 2 + ["SYMBOLIC"] * 2
    assert found[0] == found[1] != found[2] == found[3]


def test_saturation_says_how_many_bases_it_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """The whole, shards, which together leave out as many, and their sum."""
    unknown = [at for at in range(200, len(SEQUENCE)) if SEQUENCE[at] in "Nn"]
    spans = [(unknown[0] - 100, unknown[0] + 1100), (unknown[-1] - 50, unknown[-1] + 1)]
    Path("some.bed").write_text("".join(f"c\t{start}\t{end}\n" for start, end in spans))
    count = sum(SEQUENCE[start:end].upper().count("N") for start, end in spans)
    annotate("--saturate some.bed -o whole.vcf --engine plain")
    assert capsys.readouterr().err.splitlines()[-1].endswith(f", {count} bases that are N left out")
    for shard in (1, 2):
        annotate(f"--saturate some.bed -o s{shard}.vcf --shard {shard}/2 --engine plain")
    counts = [
        json.loads(Path(f"s{shard}.vcf.run.json").read_text())["counts"].get("unknown_bases", 0) for shard in (1, 2)
    ]
    assert sum(counts) == count and 0 < min(counts) < count
