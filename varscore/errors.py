"""Every error varscore raises on purpose, and the exit status each one ends with.

    VarscoreError                 1   something failed while running
    ├── InputError                2   anything wrong in what the user gave us, whenever it is found
    │   ├── UsageError            2   options that cannot be understood or do not go together
    │   ├── FastaError       2   FASTA missing, unreadable, stale index, wrong assembly
    │   ├── VariantFileError      2   VCF/BCF missing, truncated, not a VCF
    │   ├── DataError             2   peaks, labels, motifs, data sets
    │   ├── ModelError            2   model directory missing, damaged, of the wrong kind
    │   └── OutputExists          2   an existing output without --force
    ├── OutputError               1   cannot write: disk full, permission, vanished folder
    ├── DeviceError               1   no such device, out of memory
    ├── DivergedError             1   a network whose loss became no number
    └── StrictError               3   finished, but --strict and some allele could not be scored

The message is one line, ``what, where; likely cause; remedy``; parts that are not known are left out. It names
arguments as documentation does, `threads` or `check_ref=warn`; ``cli/log.py`` makes options of them.
"""

from __future__ import annotations

import errno

_REASONS = {
    errno.ENOENT: "there is no such file",
    errno.EISDIR: "it is a folder, where a file is expected",
    errno.ENOTDIR: "a part of the path is a file, where a folder is expected",
}


def reason(error: OSError) -> str:
    """Why a file cannot be read, in words."""
    return _REASONS.get(error.errno or 0) or error.strerror or str(error)


class VarscoreError(Exception):
    """Base of the tree. ``exit_status`` is what the process ends with."""

    exit_status = 1

    def __init__(self, what: str, *, where: object = None, cause: str | None = None, remedy: str | None = None) -> None:
        head = what if where is None else f"{what}, {where}"
        self.what, self.where, self.cause, self.remedy = what, where, cause, remedy
        super().__init__("; ".join(part for part in (head, cause, remedy) if part))


class InputError(VarscoreError):
    exit_status = 2


class UsageError(InputError):
    pass


class FastaError(InputError):
    pass


class VariantFileError(InputError):
    pass


class DataError(InputError):
    pass


class ModelError(InputError):
    pass


class OutputExists(InputError):
    pass


class OutputError(VarscoreError):
    pass


class DeviceError(VarscoreError):
    pass


class DivergedError(VarscoreError):
    pass


class StrictError(VarscoreError):
    exit_status = 3
