"""Which motifs a model knows, as ``motifs.json`` in its folder says; ``varscore motifs`` writes one."""

from __future__ import annotations

import json
from pathlib import Path

from varscore.errors import ModelError, reason
from varscore.storage.bounded import TABLE_BYTES, read_bounded

NAME = "motifs.json"


def read_active(folder: Path) -> frozenset[str] | None:
    """The ids of the motifs that match a filter of the model; None when its folder does not say.

    Raises ModelError when the file is damaged.
    """
    path = folder / NAME
    try:
        ids = json.loads(read_bounded(path, TABLE_BYTES))["active"]
        if not isinstance(ids, list) or not all(isinstance(id, str) for id in ids):
            raise TypeError("active is no list of motifs")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError("cannot read which motifs the model knows", where=path, cause=reason(error)) from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelError("not a motifs.json", where=path, cause=str(error), remedy="make it again") from None
    return frozenset(ids)
