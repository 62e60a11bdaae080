"""Where the reference genome comes from when no option says it."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from varscore.errors import UsageError


def config_file() -> Path:
    """``VARSCORE_CONFIG``, or ``varscore/config.toml`` in the user's configuration folder."""
    from platformdirs import user_config_dir

    return Path(os.environ.get("VARSCORE_CONFIG") or Path(user_config_dir("varscore")) / "config.toml")


def read_config() -> dict[str, Any]:
    """The configuration file's settings, empty when there is none. Raises UsageError when it is no TOML."""
    path = config_file()
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError("cannot read the configuration file", where=path, cause=str(error)) from None


def find_reference(given: Path | None, source: str) -> Path:
    """The FASTA to use: ``-r`` or ``VARSCORE_REFERENCE``, then ``reference`` of the configuration file, then a local
    ``##reference`` of the variant file.

    Raises UsageError naming all three when there is none.
    """
    if given is not None:
        return given
    if configured := read_config().get("reference"):
        return Path(str(configured)).expanduser()
    if source != "-" and (named := _header_reference(source)) is not None:
        return named
    raise UsageError(
        "no reference genome",
        remedy="pass -r FASTA, set VARSCORE_REFERENCE, or write `reference = \"FASTA\"` into " + str(config_file())
        + " (a ##reference line of the VCF counts when that file is here)",
    )  # fmt: skip


def _header_reference(source: str) -> Path | None:
    from varscore.files.vcf import VariantReader

    with VariantReader(source) as reader:
        stated = reader.header.reference
    if not stated:
        return None
    url = urlparse(stated)
    path = Path(unquote(url.path) if url.scheme == "file" else stated)
    return path if path.is_file() else None
