"""The INFO tags that varscore adds: what they are called, and which of a file's tags an earlier run has written.

A run's tags share a prefix, ``VS`` unless the user says otherwise, so that the scores of several models stand side by
side. A run names its tags in the header, ``##varscoreTags=VS_STATUS,VS_DIFF,..``; that of another prefix NAME has
``_NAME`` at the end of the keys of all its lines: ``##varscoreTags_NAME``, ``##varscoreModel_NAME``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from varscore.errors import UsageError
from varscore.formats.vcf_header import VcfHeader, encode

PREFIX = "VS"
ALWAYS = ("status", "diff", "task", "logodds")
"""The columns of every run; a column of a TSV is a tag in a VCF"""
OF_HAPLOTYPES = ("hap_diff", "hap_task", "hap_logodds", "hap_n", "joint_diff", "joint_task", "hap_status")
"""The columns that ``--haplotypes`` adds, in output order"""
SOMETIMES = ("ref_prob", "e", "e_task", "e_diff", "sig", "span", "motif", *OF_HAPLOTYPES)
"""The columns of some runs, beside those of classifiers"""
OF_TASKS = ("task", "e_task", "hap_task", "joint_task")
"""The columns that hold names of tasks"""
OF_TEXT = ("motif", "hap_status")
"""The columns that hold other text"""
OF_NUMBERS = ("span", "hap_n")
"""The columns that hold whole numbers"""
_RESPELLED = {"ref_prob": "REF"}  # a table has REF already
_NAME = re.compile(r"[A-Za-z]\w*(?<!_)", re.ASCII)
_INFO_ID = re.compile(rb'##INFO=<(?:[^"]*,)?\s*ID="?([^,>"]*)')
_OF_A_RUN = re.compile(rb"##varscore(?P<fact>[A-Z][A-Za-z]*)(?:_(?P<prefix>\w+))?=(?P<value>.*)", re.DOTALL)
_CLASSIFIER_ID = re.compile(rb"<ID=([^,>]*)")


def check_prefix(prefix: str) -> None:
    """Raises UsageError for what cannot be the beginning of a tag."""
    if not _NAME.fullmatch(prefix):
        raise UsageError(
            f"`tag_prefix={prefix!r}` cannot begin a tag",
            cause="it takes letters, digits and _ between them",
            remedy="VS gives VS_DIFF",
        )


def tag(column: str, prefix: str = PREFIX) -> str:
    """The tag of a column: ``VS_DIFF`` of ``diff``."""
    return f"{prefix}_{_RESPELLED.get(column, column.upper())}"


def classifier_column(name: str) -> str:
    """The column of a classifier: ``p_raqtl_k562`` of ``raqtl-k562``."""
    return "p_" + re.sub("[^a-z0-9]", "_", name.lower())


@dataclass(frozen=True)
class Tags:
    """The tags of a run. columns: in output order; prefix: see :func:`check_prefix`"""

    columns: tuple[str, ...]
    prefix: str = PREFIX

    @property
    def names(self) -> tuple[str, ...]:
        """``VS_STATUS``, ``VS_DIFF`` ..."""
        return tuple(tag(column, self.prefix) for column in self.columns)

    @property
    def suffix(self) -> str:
        """The end of the keys of the run's header lines."""
        return "" if self.prefix == PREFIX else f"_{self.prefix}"

    @property
    def line(self) -> bytes:
        """The header line by which another run knows these tags."""
        return encode(f"##varscoreTags{self.suffix}={','.join(self.names)}")

    def replaced(self, header: VcfHeader) -> frozenset[bytes]:
        """Tags of the file that this run's take the place of: those that an earlier run has named in the header, and
        those that varscore always means by these names, unless a run of another prefix has written them: ``K_E_DIFF``
        is a tag of the prefix ``K_E`` too.

        Raises UsageError when this run would write such a tag.
        """
        runs = _named_by_runs(header)
        earlier = runs.pop(self.prefix, set())
        for prefix, names in runs.items():
            if same := names.intersection(self.names):
                raise UsageError(
                    f"`tag_prefix={self.prefix}` would replace {min(same)}",
                    cause=f"a run with {prefix} wrote it",
                    remedy="choose another prefix",
                )
        own = {tag(column, self.prefix) for column in (*ALWAYS, *SOMETIMES)}
        return frozenset(map(encode, (own | set(self.names) | earlier).difference(*runs.values())))

    def has_run(self, header: VcfHeader) -> bool:
        """Whether the header tells of an earlier run with this prefix."""
        return any(map(self._is_of_run, header.lines))

    def without_earlier(self, header: VcfHeader) -> list[bytes]:
        """The lines of the header, but for those of an earlier run with this prefix and of the tags replaced."""
        names = self.replaced(header)
        return [line for line in header.lines if not self._is_of_run(line) and _declared(line) not in names]

    def _is_of_run(self, line: bytes) -> bool:
        found = _OF_A_RUN.fullmatch(line)
        return found is not None and _prefix(found) == self.prefix


def _declared(line: bytes) -> bytes | None:
    """The tag that an INFO line declares."""
    found = _INFO_ID.match(line)
    return found[1] if found else None


def _named_by_runs(header: VcfHeader) -> dict[str, set[str]]:
    """Prefix -> the tags that runs with it say they have written, of their prefix.

    Runs of varscore before ``##varscoreTags`` named their classifiers only.
    """
    runs: defaultdict[str, set[str]] = defaultdict(set)
    for line in header.lines:
        if found := _OF_A_RUN.fullmatch(line):
            prefix = _prefix(found)
            runs[prefix].update(name for name in _tags_of(found, prefix) if name.startswith(f"{prefix}_"))
    return dict(runs)


def _tags_of(line: re.Match[bytes], prefix: str) -> Iterable[str]:
    if line["fact"] == b"Tags":
        return line["value"].decode("ascii", "replace").strip().split(",")
    if line["fact"] == b"Classifier" and (name := _CLASSIFIER_ID.match(line["value"])):
        return [tag(classifier_column(name[1].decode("ascii", "replace")), prefix)]
    return ()


def _prefix(line: re.Match[bytes]) -> str:
    return line["prefix"].decode() if line["prefix"] else PREFIX
