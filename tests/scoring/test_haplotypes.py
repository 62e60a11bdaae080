"""Haplotypes: windows against ``bcftools consensus``, through the reader; phase, ploidy and overlaps by hand."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pysam
import pysam.bcftools
import pytest
import torch
from small_nets import small
from spellings import minimal

from varscore.engine import ENGINES
from varscore.errors import VariantFileError
from varscore.formats.vcf import VariantReader
from varscore.genome.contigs import ContigNames
from varscore.genome.named import NamedGenome
from varscore.genome.reasons import Rules
from varscore.genome.sequence import Genome, decode, encode
from varscore.genome.windows import Windows, cut_windows
from varscore.scoring.backgrounds import Carried, HaplotypeRules, Haplotypes, HapStatus, find_haplotypes
from varscore.scoring.cohort import Cohort, Neighbourhood, Samples
from varscore.scoring.haplotypes import HaplotypeWindows, cut_haplotypes, effects_on_haplotypes

LENGTH = 101
DICE = random.Random(3)
SEQUENCE = "".join(DICE.choices("ACGT", k=3000))
META = "##fileformat=VCFv4.2\n##contig=<ID=x,length=3000>\n##contig=<ID=y,length=3000>\n" + (
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="">\n##FORMAT=<ID=PS,Number=1,Type=Integer,Description="">\n'
)
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t"
OTHER = {"A": "C", "C": "G", "G": "T", "T": "A"}


@pytest.fixture
def genome(tmp_path: Path) -> Iterator[Genome]:
    (tmp_path / "g.fa").write_text(f">x\n{SEQUENCE}\n>y\n{SEQUENCE}\n")
    with Genome(tmp_path / "g.fa", cache_dir=tmp_path / "cache") as genome:
        yield genome


@dataclass(frozen=True)
class Run:
    """What is found of all records of a file, read as one chunk."""

    found: Haplotypes
    own: HaplotypeWindows
    windows: Windows

    @property
    def statuses(self) -> list[str]:
        return [HapStatus(one).name for one in self.found.status.tolist()]

    def backgrounds(self) -> list[tuple[int, str, int]]:
        """Of each allele on each background: its row, the background, how many carry it."""
        return [(one.allele, self.text(one), one.carriers) for one in self.found.carried]

    def text(self, carried: Carried) -> str:
        alleles = self.found.hood.alleles
        places = ((c.start + 1, alleles.ref[c.order], alleles.alt[c.order]) for c in carried.others)
        return ";".join(f"{pos}:{ref.decode()}>{alt.decode()}" for pos, ref, alt in places) or "."


def read(
    path: Path, genome: Genome, names: Sequence[str], rules: HaplotypeRules | None = None, length: int = LENGTH
) -> Run:
    judging, contigs = Rules(), ContigNames(genome, {})
    with VariantReader(str(path)) as reader:
        (chunk,) = reader.chunks(100_000)
        every = reader.header.columns.decode().split("\t")[9:]
    samples = Samples(tuple(names), tuple(every.index(name) for name in names), len(every))
    cohort = Cohort(str(path), samples, genome, contigs, judging, length, str(path))
    fasta = contigs.of(chunk.alleles.contigs)
    _, alleles, windows = cut_windows(chunk.alleles, genome, fasta, length, judging)
    asked = rules or HaplotypeRules()
    found = find_haplotypes(chunk, alleles, windows, cohort.around(chunk), asked)
    own = cut_haplotypes(found, windows, NamedGenome(genome, fasta), np.arange(5), True)
    cohort.close()
    return Run(found, own, windows)


def write(folder: Path, records: Sequence[str], names: str = "a", meta: str = META) -> Path:
    """records: ``POS REF ALT GT ..`` separated by blanks; on contig x unless a name stands before"""
    lines = []
    for record in records:
        fields = record.split()
        contig = fields.pop(0) if not fields[0].isdigit() else "x"
        pos, ref, alt, *calls = fields
        kind = "GT:PS" if any(":" in call for call in calls) else "GT"
        info = alt.partition("/")[2] or "."
        lines.append("\t".join([contig, pos, ".", ref, alt.partition("/")[0], ".", ".", info, kind, *calls]) + "\n")
    path = folder / "in.vcf"
    path.write_text(meta + COLUMNS + "\t".join(names.split()) + "\n" + "".join(lines))
    return path


def snv(pos: int, calls: str, contig: str = "x") -> str:
    base = SEQUENCE[pos - 1]
    return f"{contig} {pos} {base} {OTHER[base]} {calls}"


# -- letter for letter -------------------------------------------------------------------------------------------------


def made_calls(dice: random.Random) -> list[tuple[int, str, list[str], str]]:
    """Start, REF, ALTs and GT of phased records, many of them near one another, touching or overlapping."""
    found, at = [], 60
    while at < 2900:
        size = dice.randint(1, 8)
        ref = SEQUENCE[at : at + dice.choice([1, 1, 1, size, size + 1])]
        alts = []
        for _ in range(dice.choice([1, 1, 1, 2])):
            inserted = ref[0] + "".join(dice.choices("ACGT", k=size))
            same = "".join(OTHER[base] for base in ref)
            alts.append(dice.choice([same, same, inserted, ref[0] if len(ref) > 1 else inserted, inserted + "A"]))
        alts = [alt for alt in dict.fromkeys(alts) if alt != ref] or [OTHER[ref[0]] + ref[1:]]
        calls = [str(dice.randint(0, len(alts))) for _ in range(2)]
        found.append((at, ref, alts, "|".join(calls)))
        at += dice.choice([0, 1, 1, 2, 3, 10, 25, 40])
    return found


def consensus(folder: Path, path: Path, slot: int) -> str:
    """The haplotype, by bcftools, of a file with one ALT a record, normalised."""
    packed = folder / f"n{slot}.vcf.gz"
    pysam.bcftools.norm("-f", str(folder / "g.fa"), "-m-", "-Oz", "-o", str(packed), str(path), catch_stdout=False)
    pysam.bcftools.index("-f", str(packed), catch_stdout=False)
    one = folder / "x.fa"
    one.write_text(f">x\n{SEQUENCE}\n")
    text = pysam.bcftools.consensus("-H", str(slot), "-f", str(one), str(packed))
    return "".join(str(text).split("\n")[1:]).upper()


def compare(genome: Genome, folder: Path, seed: int, length: int) -> int:
    """How many windows of alleles on both haplotypes of made records were compared with bcftools consensus."""
    lines = [f"{at + 1} {ref} {','.join(alts)} {gt}" for at, ref, alts, gt in made_calls(random.Random(seed))]
    path = write(folder, lines)
    run = read(path, genome, ["a"], length=length)
    whole = {slot: consensus(folder, path, slot + 1) for slot in (0, 1)}
    alleles, hood = run.found.hood.alleles, run.found.hood
    middle, compared = (length - 1) // 2, 0
    for slot, text in whole.items():
        # what the haplotype has, by the rule spelled out: in order of position, none that lies under the one before
        carried = [a for a in hood.sorted.tolist() if _carries(hood, a, slot)]
        applied: list[int] = []
        for allele in carried:
            change, last = hood.change(allele), hood.change(applied[-1]) if applied else None
            shares_pad = last is not None and change.start == last.end - 1 and change.is_padded
            if last is None or change.start >= last.end or (shares_pad and not last.is_insertion):
                applied.append(allele)
        for one, own in zip(run.found.carried, run.own.entry_own.tolist(), strict=True):
            if own < 0 or one.focal.order not in applied or (0, slot) not in one.named:
                continue
            before = [hood.change(a) for a in applied[: applied.index(one.focal.order)]]
            at = one.focal.first + sum(len(c.letters) - (c.end - c.first) for c in before) - one.focal.is_padded
            expected = ("N" * length + text + "N" * length)[length + at - middle :][:length]
            found = decode(run.own.windows.alt[own]).decode()
            assert found == expected, (slot, alleles.start[one.focal.order] + 1, run.text(one))
            compared += 1
    return compared


def _carries(hood: Neighbourhood, allele: int, slot: int) -> bool:
    record = int(hood.alleles.record[allele])
    return bool(hood.genotypes.alleles[record, 0, slot] == allele - int(hood.rows[record]) + 1)


@pytest.mark.parametrize("seed", [1, 2])
def test_windows_are_those_of_bcftools_consensus(genome: Genome, tmp_path: Path, seed: int) -> None:
    assert compare(genome, tmp_path, seed, LENGTH) > 60


@pytest.mark.slow
def test_five_hundred_windows_are_those_of_bcftools_consensus(genome: Genome, tmp_path: Path) -> None:
    assert sum(compare(genome, tmp_path, seed, length) for seed in range(3, 8) for length in (1000, 200)) > 500


def test_an_upstream_deletion_lets_the_window_begin_further_left(genome: Genome, tmp_path: Path) -> None:
    deleted = f"980 {SEQUENCE[979:985]} {SEQUENCE[979]} 1|0"
    run = read(write(tmp_path, [deleted, snv(1000, "1|0")]), genome, ["a"])
    assert minimal(SEQUENCE, 979, SEQUENCE[979:985], SEQUENCE[979])[0] == 979
    _, of_snv = run.found.carried
    ref, alt = (decode(codes[run.own.entry_own[1]]).decode() for codes in (run.own.windows.ref, run.own.windows.alt))
    left = SEQUENCE[944:980] + SEQUENCE[985:999]  # 50 bases, five of which would not be there without the deletion
    assert ref == left + SEQUENCE[999:1050] and alt == left + OTHER[SEQUENCE[999]] + SEQUENCE[1000:1050]
    assert run.text(of_snv) == f"980:{SEQUENCE[979:985]}>{SEQUENCE[979]}"


# -- who carries what --------------------------------------------------------------------------------------------------


def text(pos: int) -> str:
    return f"{pos}:{SEQUENCE[pos - 1]}>{OTHER[SEQUENCE[pos - 1]]}"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("0|1", "0|1", text(1003)),
        ("0|1", "1|0", "."),
        ("1|0", "1|1", text(1003)),
        ("1/1", "0|1", ".|" + text(1003)),  # homozygous: on both haplotypes
        ("0|1", "0/1", "."),  # nobody knows
        ("0|1", "1/1", text(1003)),
        ("0|1", ".|1", text(1003)),
        ("0|1", "0|.", "."),
        ("|0|1", "|0|1", text(1003)),  # as VCF 4.4 may write it
        ("0|1", "/0|1", "."),
        ("1", "1", text(1003)),  # one copy of the chromosome
        ("1", "0|1", "."),
        ("1|1", "1", ".|" + text(1003)),
        ("0|0|1", "0|1|1", text(1003)),
        ("0|1:100", "0|1:100", text(1003)),
        ("0|1:100", "0|1:200", "."),
        ("0|1:100", "0|1:.", "."),
        ("0|1:.", "0|1:.", text(1003)),
        ("0|1:100", "1/1:.", text(1003)),
        ("1/1:.", "0|1:200", ".|" + text(1003)),
        ("0|1:a", "0|1:b", text(1003)),  # no whole numbers: as if they were not there
    ],
)
def test_what_lies_on_one_haplotype(genome: Genome, tmp_path: Path, first: str, second: str, expected: str) -> None:
    run = read(write(tmp_path, [snv(1000, first), snv(1003, second)]), genome, ["a"])
    assert "|".join(text for allele, text, _ in run.backgrounds() if allele == 0) == expected
    assert run.statuses[0] == "PASS" and run.found.backgrounds[0] == expected.count("|") + 1


@pytest.mark.parametrize(
    ("call", "status"),
    [
        ("0|0", "NO_CARRIER"), ("./.", "NO_CARRIER"), (".", "NO_CARRIER"), ("0/1", "UNPHASED"), ("./1", "UNPHASED"),
        ("1/1", "PASS"), ("1", "PASS"), ("0|2", "UNPHASED"), ("0|99999999999999999999", "UNPHASED"), ("x", "UNPHASED"),
        ("|".join("0" * 8 + "1"), "UNPHASED"), ("|".join("0" * 7 + "1"), "PASS"), ("", "UNPHASED"),
    ],
)  # fmt: skip
def test_statuses_of_calls(genome: Genome, tmp_path: Path, call: str, status: str) -> None:
    path = write(tmp_path, [snv(1000, "CALL 0|0")], "a b")
    path.write_text(path.read_text().replace("CALL", call))
    assert read(path, genome, ["a", "b"]).statuses == [status]


def test_phase_sets_that_only_psl_names_are_no_phasing_of_the_whole_contig(genome: Genome, tmp_path: Path) -> None:
    path = write(tmp_path, [snv(1000, "0|1:x"), snv(1003, "0|1:x"), snv(1006, "1|1:.,x"), snv(1009, "0|1:.,.")])
    path.write_text(path.read_text().replace("GT:PS\t", "GT:PSL\t"))
    run = read(path, genome, ["a"])
    assert run.statuses == ["UNPHASED", "UNPHASED", "PASS", "PASS"]
    assert [one[:2] for one in run.backgrounds()][-1] == (3, text(1006))


def test_modes_of_phase(genome: Genome, tmp_path: Path) -> None:
    path = write(tmp_path, [snv(1000, "0/1"), snv(1003, "0|1"), snv(1006, "1/1"), snv(1009, "0/1")])
    found = {
        phase: [one[:2] for one in read(path, genome, ["a"], HaplotypeRules(phase=phase)).backgrounds()]
        for phase in ("phased", "all-hom", "unphased-as-is")
    }
    hom, three = text(1006), [text(pos) for pos in (1000, 1003, 1006, 1009)]
    assert found["phased"] == [(1, hom), (2, "."), (2, text(1003))]
    assert found["all-hom"] == [(0, hom), (1, hom), (2, "."), (3, hom)]
    others = [(allele, ";".join(t for t in three if t != text(1000 + 3 * allele))) for allele in range(4)]
    assert found["unphased-as-is"] == [*others[:2], (2, "."), *others[2:]]


def test_calls_left_out_are_counted_and_a_homozygous_one_goes_with_the_nearest(genome: Genome, tmp_path: Path) -> None:
    records = [snv(980, "0|1:7"), snv(1000, "1/1:."), snv(1010, "0|1:9"), snv(1015, "0/1:.")]
    run = read(write(tmp_path, records), genome, ["a"])
    of_hom = [one for one in run.found.carried if one.allele == 1]
    assert [run.text(one) for one in of_hom] == [".", text(1010)]
    assert [one.unphased for one in of_hom] == [2, 2] and of_hom[1].phase_sets == (9,)


def test_slots_swapped_give_the_same(genome: Genome, tmp_path: Path) -> None:
    dice, records, other = random.Random(5), [], []
    for pos in range(900, 1100, 7):
        calls = [f"{dice.randint(0, 1)}|{dice.randint(0, 1)}" for _ in range(3)]
        records.append(snv(pos, " ".join(calls)))
        other.append(snv(pos, " ".join(call[::-1] for call in calls)))
    one, two = (read(write(tmp_path, lines, "a b c"), genome, ["a", "b", "c"]) for lines in (records, other))
    assert one.backgrounds() == two.backgrounds() and len(one.backgrounds()) > 60
    assert np.array_equal(one.own.windows.alt, two.own.windows.alt)


def test_chosen_samples_multiple_alternatives_and_rare_backgrounds(genome: Genome, tmp_path: Path) -> None:
    base = SEQUENCE[999]
    alts = [letter for letter in "ACGT" if letter != base][:2]
    records = [f"1000 {base} {alts[0]},{alts[1]} 1|2 0|1 2|2", snv(1003, "0|1 0|1 0|0")]
    path = write(tmp_path, records, "a b c")
    every = read(path, genome, ["a", "b", "c"])
    assert every.backgrounds()[:4] == [(0, ".", 1), (0, text(1003), 1), (1, ".", 2), (1, text(1003), 1)]
    assert read(path, genome, ["b"]).backgrounds()[:1] == [(0, text(1003), 1)]
    assert read(path, genome, ["b"]).statuses == ["PASS", "NO_CARRIER", "PASS"]
    rare = read(path, genome, ["a", "b", "c"], HaplotypeRules(min_count=2))
    assert rare.backgrounds() == [(1, ".", 2)] and rare.found.skipped == 5
    assert rare.statuses == ["NO_CARRIER", "PASS", "NO_CARRIER"] and rare.found.backgrounds.tolist() == [2, 2, 2]
    few = read(path, genome, ["a", "b", "c"], HaplotypeRules(max_joint=0))
    assert few.statuses == ["PASS", "PASS", "TOO_MANY"]


def test_what_overlaps_an_allele_is_no_background_of_it(genome: Genome, tmp_path: Path) -> None:
    deleted = f"1000 {SEQUENCE[999:1006]} {SEQUENCE[999]} 0|1"
    run = read(write(tmp_path, [deleted, snv(1003, "0|1"), snv(1009, "0|1")]), genome, ["a"])
    assert [text for _, text, _ in run.backgrounds()] == [text(1009), text(1009), run.text(run.found.carried[2])]
    assert run.text(run.found.carried[2]).startswith("1000:")
    assert run.statuses == ["PASS", "OVERLAP", "PASS"]


def test_what_no_letters_tell_of_is_flagged(genome: Genome, tmp_path: Path) -> None:
    base = SEQUENCE[0]
    records = [
        "100 N <DEL>/END=2600 0|1",
        snv(1000, "1|1"),
        f"1010 {SEQUENCE[1009]} {OTHER[SEQUENCE[1009]]},* 1|2",
        snv(2700, "0|1"),
        snv(2900, "0|1"),
    ]
    run = read(write(tmp_path, records), genome, ["a"])
    flags = {(one.allele, run.text(one)): one.is_spanned for one in run.found.carried}
    assert base and flags[1, "."] and not flags[1, text(1010)] and flags[2, text(1000)] is False
    assert run.statuses[0] == "SAME", "nothing is said of a structural allele"
    assert not flags[5, "."]


@pytest.mark.parametrize(
    "records", [[snv(1003, "0|1"), snv(1000, "0|1")], [snv(5, "0|1"), snv(5, "0|1", "y"), snv(9, "0|1")]]
)
def test_records_that_are_not_sorted_are_refused(genome: Genome, tmp_path: Path, records: list[str]) -> None:
    with pytest.raises(VariantFileError, match=r"not sorted.*record"):
        read(write(tmp_path, records), genome, ["a"])


def test_a_file_without_gt_is_refused(genome: Genome, tmp_path: Path) -> None:
    path = write(tmp_path, [snv(1000, "0|1")])
    path.write_text(path.read_text().replace("\tGT\t0|1", "\tDP\t7"))
    with pytest.raises(VariantFileError, match="no genotypes"):
        read(path, genome, ["a"])


# -- effects -----------------------------------------------------------------------------------------------------------


def haplotype(changed: Sequence[int]) -> str:
    """The sequence with the substitutions at some positions, 1-based."""
    return "".join(OTHER[base] if at in changed else base for at, base in enumerate(SEQUENCE, 1))


@pytest.mark.parametrize("engine", ENGINES)
def test_effects_are_those_of_the_network_on_strings(genome: Genome, tmp_path: Path, engine: str) -> None:
    """Conditional, joint, alone and interaction of three substitutions, from windows cut out of strings."""
    net = small("crnn-320-projection", seed=5).eval()
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    places = (1000, 1010, 1021)
    run = read(
        write(tmp_path, [snv(1000, "0|1"), snv(1010, "1|1"), snv(1021, "0|1")]), genome, ["a"], length=net.window
    )
    machine = ENGINES[engine](net, torch.device("cpu"))
    ordinary, found = effects_on_haplotypes(machine, (run.windows, run.own))

    def predict(at: int, changed: Sequence[int]) -> np.ndarray:
        first = at - 1 - (net.window - 1) // 2
        return machine.predict(encode(haplotype(changed)[first : first + net.window].encode())[None])[0]

    assert len(run.found.carried) == 4
    for entry, carried in enumerate(run.found.carried):
        at, others = places[carried.allele], [change.start + 1 for change in carried.others]
        nothing, task = predict(at, []), int(found.task[entry])
        conditional = predict(at, [at, *others]) - predict(at, others)
        joint = predict(at, [at, *others]) - nothing
        alone = sum(predict(at, [one]) - nothing for one in (at, *others))
        assert abs(conditional[task]) >= np.abs(conditional).max() - 1e-6
        np.testing.assert_allclose(found.diff[entry], conditional[task], atol=3e-6)
        np.testing.assert_allclose(found.joint[entry], joint[task], atol=3e-6)
        np.testing.assert_allclose(np.abs(found.joint_diff[entry]), np.abs(joint).max(), atol=3e-6)
        np.testing.assert_allclose(found.interaction[entry], (joint - alone)[task], atol=1e-5)
        np.testing.assert_allclose(found.alone[entry], ordinary.diff[carried.pair, task], atol=0)
    assert np.abs(found.interaction).max() > 1e-3, "the network is as good as linear here"


def test_effects_that_add_do_not_interact(genome: Genome, tmp_path: Path) -> None:
    """A linear layer on k-mer counts: on any background an allele has the log odds that it has alone."""
    net = small("kmer").eval()
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    run = read(write(tmp_path, [snv(pos, "0|1") for pos in range(960, 1060, 11)]), genome, ["a"], length=net.window)
    ordinary, found = effects_on_haplotypes(ENGINES["exact"](net, torch.device("cpu")), (run.windows, run.own))
    pairs = np.array([one.pair for one in run.found.carried])
    assert all(one.others for one in run.found.carried)
    np.testing.assert_allclose(found.logodds, ordinary.logodds[pairs, found.task], atol=1e-5)
    assert np.abs(found.logodds).min() > 1e-3
