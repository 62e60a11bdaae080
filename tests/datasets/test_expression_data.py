"""Expression matrices, their logarithms and lineages, worked out by hand."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from varscore.datasets.expression import IMMGEN, Expression, lineage_of, read_expression, read_lineages
from varscore.errors import DataError

NAMED = "gene\tB.Fo.Sp\tNK.a\tB1b.PC\nx\t1\t2\t4\ny\t8\tNA\t16\nz\t1.5\t2\t64\n"


def write(folder: Path, text: str, name: str = "m.tsv") -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize(
    "text",
    [
        NAMED,
        NAMED.replace("\t", ","),
        NAMED.replace("gene\t", ""),  # R's way
        NAMED.replace("\n", "\r\n"),
        NAMED.replace("NA", ""),
    ],
)
def test_tables_of_every_kind_are_the_same_matrix(tmp_path: Path, text: str) -> None:
    found = read_expression(write(tmp_path, text))
    assert found.genes == ("x", "y", "z") and found.columns == ("B.Fo.Sp", "NK.a", "B1b.PC")
    assert found.values == pytest.approx(np.array([[1, 2, 4], [8, math.nan, 16], [1.5, 2, 64]]), nan_ok=True)


def test_names_may_lie_in_a_file_of_their_own(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "m.txt.gz", "wt") as file:
        file.write("B.a\tB.b\n1\t2\n3\t4\n")
    found = read_expression(tmp_path / "m.txt.gz", write(tmp_path, "x\ny\n", "names"))
    assert found.genes == ("x", "y") and found.values.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(DataError, match="3 names for 2 lines"):
        read_expression(tmp_path / "m.txt.gz", write(tmp_path, "x\ny\nz\n", "more"))


def test_a_gene_with_two_lines_is_left_out(tmp_path: Path) -> None:
    found = read_expression(write(tmp_path, "g\tB.a\nx\t1\ny\t2\nx\t3\n"))
    assert found.genes == ("y",) and found.values.tolist() == [[2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("g\tB.a\tB.b\nx\t1\n", "2 cells under 3|2 cells under 2"),
        ("g\tB.a\nx\t1\ny\t1\t2\n", "line 3; 3 cells under 1"),
        ("g\tB.a\nx\thigh\n", "'high' is no expression"),
        ("g\tB.a\nx\tinf\n", "'inf' is no expression"),
        ("g\tB.a\n", "no line of expression"),
        ("", "no line of expression"),
    ],
)
def test_what_is_no_matrix(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_expression(write(tmp_path, text))
    with pytest.raises(DataError, match="no such file, .*none"):
        read_expression(tmp_path / "none")


def matrix(values: list[list[float]], columns: tuple[str, ...] = ("B.a", "B1b.b", "DC.c", "ILC2.SI")) -> Expression:
    return Expression(tuple(f"g{i}" for i in range(len(values))), columns, np.array(values))


def test_log2_of_linear_values_and_of_nothing_else() -> None:
    linear, kind = matrix([[1, 2, 64, math.nan]]).log2("auto")
    assert kind == "linear" and linear.values == pytest.approx(np.array([[0, 1, 6, math.nan]]), nan_ok=True)
    logs, kind = matrix([[-3.0, 2, 13.95, 0]]).log2("auto")
    assert kind == "log2" and logs.values.tolist() == [[-3, 2, 13.95, 0]]
    assert matrix([[1.0, 2, 4, 8]]).log2("linear")[0].values.tolist() == [[0, 1, 2, 3]]
    assert matrix([[0.0, 3, 7, 63]]).log2("linear", 1)[0].values.tolist() == [[0, 2, 3, 6]]
    with pytest.raises(DataError, match=r"g0 has 0 in DC.c; `pseudocount=1`"):
        matrix([[1.0, 2, 0, 63]]).log2("auto")


def test_outputs_by_hand() -> None:
    nan = math.nan
    made = matrix([[1, 3, 5, 7], [nan, 4, nan, 8]])
    tasks, values = made.outputs("lineages")
    assert [(t.name, t.group, t.facts["columns"]) for t in tasks] == [("B", "lineages", "2"), ("DC", "lineages", "1")]
    assert values == pytest.approx(np.array([[2, 5], [4, nan]]), nan_ok=True) and values.dtype == np.float32
    tasks, values = made.outputs("mean")
    assert [t.name for t in tasks] == ["mean"] and values.tolist() == [[4], [6]]
    tasks, values = made.outputs("columns")
    assert [(t.name, t.group) for t in tasks] == [("B.a", "B"), ("B1b.b", "B"), ("DC.c", "DC"), ("ILC2.SI", "")]
    assert values == pytest.approx(made.values, nan_ok=True)
    with pytest.raises(DataError, match="no column of the matrix is of a lineage; columns are named like liver"):
        matrix([[1.0]], ("liver",)).outputs("lineages")


@pytest.mark.parametrize(
    ("lineage", "columns"),
    [
        ("B", "B.Fem.Sp B1b.PC proB.FrA.BM proB.FrBC.BM"),
        ("DC", "DC.4+.Sp DC.pDC.Sp"),
        ("GN", "GN.BM"),
        ("MF", "MF.102+480+.PC"),
        ("MO", "Mo.6C+II-.Bl"),
        ("NK", "NK.27+11b-.Sp"),
        ("NKT", "NKT.Sp NKT.Sp.LPS.3d"),
        ("SP", "LTHSC.34-.BM STHSC.150-.BM MMP3.48+.BM proB.CLP.BM preT.DN1.Th T.DN4.Th T.ISP.Th T.DP.Th"),
        ("T4", "T.4.Nve.Sp T.4.Sp.aCD3+CD40.18hr Treg.4.25hi.Sp"),
        ("T8", "T.8.Th T8.IEL.LCMV.d7.Gut"),
        ("GDT", "Tgd.g2+d17.LN Tgd.Sp"),
        ("", "ILC2.SI BEC.SLN LEC.SLN FRC.CD140a+.Madcam-.CD35-.SLN IAP.SLN Ep.MEChi.Th"),
    ],
)
def test_lineages_of_immgen(lineage: str, columns: str) -> None:
    assert {lineage_of(column, IMMGEN) for column in columns.split()} == {lineage}


def test_a_map_of_ones_own(tmp_path: Path) -> None:
    mapped = read_lineages(write(tmp_path, "# mine\nB1*\tB1\n\nB*\tB\n"))
    assert [lineage_of(name, mapped) for name in ("B1b", "B2", "b2")] == ["B1", "B", ""]
    for text, message in {"B1*\n": "line 1; PATTERN", "# none\n": "no lineage in the file"}.items():
        with pytest.raises(DataError, match=message):
            read_lineages(write(tmp_path, text))
