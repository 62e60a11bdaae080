"""``<output>.run.json``: what was run, on what, and what came of it; for a shard also where its blocks stand."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from varscore.errors import DataError
from varscore.storage.atomic import SideFile
from varscore.storage.bounded import read_bounded
from varscore.storage.resumable import FileOutput
from varscore.storage.stages import Placement

SUFFIX = ".run.json"
FORMAT = 1
MOST_BYTES = 1 << 30


class RunJson(FileOutput):
    """The file beside ``output``; it replaces an older one."""

    def __init__(self, output: str, fields: Mapping[str, object]) -> None:
        self._file: SideFile = SideFile(output + SUFFIX)
        self._text = json.dumps({"format": FORMAT, **fields}, indent=1) + "\n"

    def settle(self) -> list[Placement]:
        self._file.write(self._text.encode())
        return self._file.settle()


def read_run(output: str) -> dict[str, object]:
    """The fields of the file beside ``output``. Raises DataError when it is not there or not one."""
    path = output + SUFFIX
    try:
        fields = json.loads(read_bounded(Path(path), MOST_BYTES, DataError))
    except FileNotFoundError:
        raise DataError(
            "what was run is not known",
            where=output,
            cause=f"{os.path.basename(path)} is not beside it",
            remedy="keep the .run.json of a shard with it",
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError("cannot read what was run", where=path, cause=str(error)) from None
    if not isinstance(fields, dict) or fields.pop("format", None) != FORMAT:
        raise DataError("not a run.json that this varscore can read", where=path)
    return fields
