"""Files of a cache against a dict, and what becomes of damage."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from varscore.errors import DataError, UsageError
from varscore.scoring.stored import cache as caches
from varscore.scoring.stored import segment as segments
from varscore.scoring.stored.cache import ScoreCache, merge_segments, parts, prune, verify
from varscore.scoring.stored.profile import Profile
from varscore.scoring.stored.segment import SUFFIX, DamagedSegment, Segment, write_segment

DTYPE = np.dtype([("diff", "<f4"), ("task", "<u2")])
PROFILE = Profile({"model": "m", "device": "cpu"})
DIGEST = bytes.fromhex(PROFILE.digest)


def made(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(seed)
    records = np.zeros(count, DTYPE)
    records["diff"], records["task"] = dice.standard_normal(count), dice.integers(0, 200, count)
    return dice.integers(0, 1 << 63, (count, 2), np.uint64), records


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "BLOCK", 16)


def test_what_is_found_is_what_was_written(tmp_path: Path, small_blocks: None) -> None:
    keys, records = made(500, 1)
    twice = np.concatenate([keys, keys[:50]]), np.concatenate([records, records[:50]])
    write_segment(tmp_path / "a", *twice, DIGEST)
    segment = Segment(tmp_path / "a", DTYPE, DIGEST)
    assert len(segment) == 500
    asked = np.concatenate([made(300, 2)[0], keys[::-1], keys[:1] + np.array([0, 1], np.uint64)])
    there, found = segment.find(asked)
    known = {tuple(key): record for key, record in zip(keys.tolist(), records.tolist(), strict=True)}
    assert there.tolist() == [tuple(key) in known for key in asked.tolist()]
    assert found.tolist() == [known[tuple(key)] for key in asked[there].tolist()]
    assert there.sum() == 500


def test_of_damage_nothing_is_taken(tmp_path: Path, small_blocks: None) -> None:
    """Every byte of a file belongs to its header, a checksum, a key or a record: 1,000 of them are changed."""
    keys, records = made(200, 3)
    path, dice = tmp_path / "a", random.Random(1)
    write_segment(path, keys, records, DIGEST)
    whole = path.read_bytes()
    known = {tuple(key): record for key, record in zip(keys.tolist(), records.tolist(), strict=True)}
    refused = missed = 0
    for trial in range(1000):
        damaged = bytearray(whole)
        at = trial if trial < 120 else dice.randrange(len(whole))
        damaged[at] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged if trial % 10 else damaged[:at])
        try:
            segment = Segment(path, DTYPE, DIGEST)
        except (DamagedSegment, ValueError):
            refused += 1
            continue
        there, found = segment.find(keys)
        missed += not there.all()
        assert found.tolist() == [known[tuple(key)] for key in keys[there].tolist()], at
    assert refused > 100 and missed > 500 and refused + missed > 990  # the header's last bytes mean nothing


def test_a_foreign_profile_or_record_is_refused(tmp_path: Path) -> None:
    write_segment(tmp_path / "a", *made(5, 1), DIGEST)
    with pytest.raises(DamagedSegment, match="another profile"):
        Segment(tmp_path / "a", DTYPE, bytes(32))
    with pytest.raises(DamagedSegment):
        Segment(tmp_path / "a", np.dtype([("diff", "<f4")]), DIGEST)


# -- the folder --------------------------------------------------------------------------------------------------------


def test_two_writers_have_the_union(tmp_path: Path) -> None:
    one, other = (ScoreCache(tmp_path / "c", PROFILE, DTYPE) for _ in range(2))
    for number, cache in enumerate((one, other)):
        cache.add(*made(40, number))
        cache.add(*made(40, 9))
        cache.close()
    third = ScoreCache(tmp_path / "c", PROFILE, DTYPE)
    for seed in (0, 1, 9):
        keys, records = made(40, seed)
        there, found = third.find(keys)
        assert there.all() and found.tolist() == records.tolist()
    assert not third.find(made(40, 5)[0])[0].any()
    assert [part.entries for part in parts(tmp_path / "c")] == [160]


def test_many_files_become_one(tmp_path: Path) -> None:
    for seed in range(caches.MANY + 1):
        cache = ScoreCache(tmp_path / "c", PROFILE, DTYPE)
        cache.add(*made(10, seed))
        cache.close()
    assert len(list(cache.own.glob(f"*{SUFFIX}"))) == 1
    retired = list(cache.own.glob(f".*{SUFFIX}.partial"))
    assert len(retired) == caches.MANY + 1, "a process elsewhere may be reading them"
    for path in retired:
        os.utime(path, (time.time() - 2 * caches.STALE_SECONDS,) * 2)
    third = ScoreCache(tmp_path / "c", PROFILE, DTYPE)
    assert all(third.find(made(10, seed)[0])[0].all() for seed in range(caches.MANY + 1))
    assert merge_segments(cache.own) == 0 and not any(path.exists() for path in retired)


def test_the_oldest_go_first(tmp_path: Path) -> None:
    for seed in range(3):
        cache = ScoreCache(tmp_path / "c", PROFILE, DTYPE)
        cache.add(*made(100, seed))
        cache.close()
        (newest,) = {path for path in cache.own.glob(f"*{SUFFIX}") if path.stat().st_mtime > 1e9}
        os.utime(newest, (seed + 1, seed + 1))
    size = newest.stat().st_size
    assert prune(tmp_path / "c", 2 * size) == 1
    third = ScoreCache(tmp_path / "c", PROFILE, DTYPE)
    assert [third.find(made(100, seed)[0])[0].all() for seed in range(3)] == [False, True, True]
    last = ScoreCache(tmp_path / "c", PROFILE, DTYPE, limit=size)
    last.add(*made(100, 7))
    last.close()
    assert [part.entries for part in parts(tmp_path / "c")] == [100]


def test_what_a_killed_process_left_is_swept_away(tmp_path: Path) -> None:
    own = ScoreCache(tmp_path / "c", PROFILE, DTYPE).own
    for name, age in ((".old.scores.partial", 2 * caches.STALE_SECONDS), (".new.scores.partial", 0)):
        (own / name).write_bytes(b"half")
        os.utime(own / name, (time.time() - age,) * 2)
    assert not ScoreCache(tmp_path / "c", PROFILE, DTYPE).find(made(3, 1)[0])[0].any()
    assert sorted(path.name for path in own.iterdir()) == [".new.scores.partial", caches.PROFILE]


def test_damage_is_warned_of_and_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture, small_blocks: None) -> None:
    cache = ScoreCache(tmp_path / "c", PROFILE, DTYPE)
    keys, records = made(100, 1)
    cache.add(keys, records)
    cache.close()
    (path,) = cache.own.glob(f"*{SUFFIX}")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    (cache.own / f"x{SUFFIX}").write_bytes(b"short")
    again = ScoreCache(tmp_path / "c", PROFILE, DTYPE)
    there, found = again.find(keys)
    again.find(keys)
    assert 80 <= there.sum() < 100 and found.tolist() == records[there].tolist()
    assert [record.getMessage().partition(": ")[2].partition(";")[0] for record in caplog.records] == [
        "it is cut short",
        "a part of it is not what was written",
    ]
    sound, removed = verify(tmp_path / "c")
    assert (sound, len(removed)) == (0, 2) and not list(cache.own.glob(f"*{SUFFIX}"))


def test_what_cannot_be_written_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        ScoreCache(tmp_path / "file", PROFILE, DTYPE)
    cache = ScoreCache(tmp_path / "c", PROFILE, DTYPE)
    cache.add(*made(5, 1))
    shutil.rmtree(cache.own)
    cache.close()
    assert "nothing more is kept in the cache" in caplog.text
    with pytest.raises(DataError, match="no such folder"):
        parts(tmp_path / "nowhere")
    with pytest.raises(DataError, match="not a cache"):
        parts(tmp_path)
