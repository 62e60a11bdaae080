"""Other machines: engines held by Ray workers, and whole shards as SLURM job arrays.

- ``ray``    engines in Ray's actors; one process reads and writes, as without them
- ``slurm``  the scripts of a job array and of the job that merges its shards
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from varscore.errors import UsageError

if TYPE_CHECKING:
    from varscore.cluster.ray import RayEngines

QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
"""No reports to Ray's makers"""
ALONE = {
    **QUIET,
    "RAY_worker_niceness": "0",  # that of the command: with Ray's 15 a worker on a busy machine hardly begins
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listen on the loopback interface only, as Ray does on those systems
}
"""An instance on this machine that is ours alone"""


def ray_engines(cluster: str, threads: int | None = None) -> AbstractContextManager[RayEngines]:
    """The engines of a Ray cluster while the block lasts; see :func:`varscore.cluster.ray.connected`.

    cluster: ``ray``, what RAY_ADDRESS says or else an instance of ``threads`` CPUs on this machine; ``ray://auto``, the
    cluster that this machine belongs to; ``ray://HOST:PORT``. Raises UsageError where Ray is not installed.
    """
    is_alone = cluster == "ray" and not os.environ.get("RAY_ADDRESS")
    settings = ALONE if is_alone else QUIET
    if not is_alone and _has_token():
        settings = {**settings, "RAY_AUTH_MODE": "token"}  # which Ray does by itself, but not for ray://HOST:PORT
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    try:
        from varscore.cluster.ray import connected  # Ray reads its environment when it is imported
    except ImportError as error:
        remedy = "pip install 'ray[client]'"
        raise UsageError("Ray cannot be imported", cause=str(error), remedy=remedy) from None
    return connected("local" if is_alone else {"ray": None, "ray://auto": "auto"}.get(cluster, cluster), threads)


def _has_token() -> bool:
    """Whether there is a token for Ray clusters where Ray looks for one."""
    named = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return named or (Path.home() / ".ray" / "auth_token").is_file()
