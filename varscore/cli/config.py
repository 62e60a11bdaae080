"""Where the reference genome, motifs and the score cache come from when no option says it."""

from __future__ import annotations

import difflib
import os
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from varscore.errors import UsageError
from varscore.storage.bounded import CARD_BYTES, read_bounded

SETTINGS = ("reference", "motifs", "score-cache")


def config_file() -> Path:
    """``VARSCORE_CONFIG``, or ``varscore/config.toml`` in the user's configuration folder."""
    from platformdirs import user_config_dir

    return Path(os.environ.get("VARSCORE_CONFIG") or Path(user_config_dir("varscore")) / "config.toml")


def read_config() -> dict[str, Any]:
    """The configuration file's settings, empty when there is none. Raises UsageError when it is no TOML, or has one
    whose name is nearly one that is read."""
    path = config_file()
    try:
        found = tomllib.loads(read_bounded(path, CARD_BYTES, UsageError).decode("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError("cannot read the configuration file", where=path, cause=str(error)) from None
    for name in found:
        if name not in SETTINGS and (near := difflib.get_close_matches(name.lower(), SETTINGS, 1, 0.75)):
            raise UsageError(f"no setting {name!r}", where=path, remedy=f"is it {near[0]}?")
    return found


def find_reference(given: Path | None, source: str) -> Path:
    """The FASTA to use: ``-r`` or ``VARSCORE_REFERENCE``, then ``reference`` of the configuration file, then a local
    ``##reference`` of the variant file ``source`` (``-``: none, a stream can be read once only).

    Raises UsageError naming all three when there is none.
    """
    if given is not None:
        return given
    if (configured := configured_path("reference")) is not None:
        return configured
    stated = _stated_reference(source)
    if stated is not None and os.path.isfile(stated):
        return Path(stated)
    raise UsageError(
        "no reference genome",
        cause=f"the VCF's own, {stated}, is not here" if stated else None,
        remedy=f'pass -r FASTA, set VARSCORE_REFERENCE, or write `reference = "FASTA"` into {config_file()} '
        "(a VCF's ##reference is taken when it is a file here)",
    )


def find_motifs(given: Path | None) -> Path | None:
    """The motif file to use: ``--motifs`` or ``VARSCORE_MOTIFS``, then ``motifs`` of the configuration file; ``none``
    in place of a file: none. Raises UsageError."""
    path = given if given is not None else configured_path("motifs")
    return None if path is None or str(path) == "none" else path


def configured_path(name: str) -> Path | None:
    """A path of the configuration file, from which a relative one counts; None when it has none of this name.

    Raises UsageError when it is no path.
    """
    configured = read_config().get(name)
    if configured is None:
        return None
    if not isinstance(configured, str):
        raise UsageError(f"{name} is not a path in quotes", where=config_file())
    return config_file().parent / os.path.expanduser(configured)  # ~nobody, who is not here, stays as it is


def _stated_reference(source: str) -> str | None:
    """The path in ``##reference``, which may be a file: URL."""
    from varscore.formats.vcf import VariantReader
    from varscore.storage.atomic import is_stream

    if is_stream(source):
        return None
    with VariantReader(source) as reader:
        stated = reader.header.reference
    if stated and stated.lower().startswith("file:"):
        with suppress(ValueError):  # not a URL, [ for one
            return unquote(urlparse(stated).path)
    return stated
