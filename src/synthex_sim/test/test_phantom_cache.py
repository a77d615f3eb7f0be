"""Kept phantoms: the same to the last bit, never of older code, never damaged, never more than allowed."""

import ast
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from synthex_sim.patient.phantom import cache, make_phantom


@pytest.fixture(scope="module")
def built():
    return make_phantom(4, 6.0)


@pytest.fixture
def folder(tmp_path, monkeypatch, built):
    """An empty cache in which every phantom is ``built``; ``folder.calls`` counts how often it was built."""
    monkeypatch.setenv("SYNTHEX_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("SYNTHEX_PHANTOM_CACHE_MB", raising=False)
    calls = []

    def build(*arguments):
        calls.append(arguments)
        return built

    monkeypatch.setattr(cache, "make_phantom", build)
    phantoms = Folder(tmp_path / "phantoms")
    phantoms.calls = calls
    return phantoms


class Folder:
    def __init__(self, path):
        self.path, self.calls = path, []

    def files(self):
        return sorted(self.path.glob("*.phantom"))


def same(a, b):
    return (
        a.name == b.name and a.digest() == b.digest() and a.hu.dtype == b.hu.dtype and a.labels.dtype == b.labels.dtype
    )


def test_a_kept_phantom_is_the_built_one_to_the_last_bit(folder, built):
    first, second = cache.cached_phantom(4, 6.0), cache.cached_phantom(4, 6.0)
    assert len(folder.calls) == 1 and first is built and second is not built
    assert same(second, built)
    assert np.array_equal(second.hu, built.hu) and np.array_equal(second.labels, built.labels)
    second.hu[0, 0, 0] = 5  # its arrays are its own
    assert same(cache.cached_phantom(4, 6.0), built)


def test_every_parameter_asks_for_another_file(folder):
    for arguments in ((4, 6.0), (5, 6.0), (4, 5.5), (4, 6.0, ("total_hip_left",)), (4, 6.0, (), True)):
        cache.cached_phantom(*arguments)
    assert len(folder.calls) == 5 and len(folder.files()) == 5


def test_a_change_of_code_asks_for_another_file(folder, monkeypatch):
    cache.cached_phantom(4, 6.0)
    monkeypatch.setattr(cache, "_CODE", "another")
    cache.cached_phantom(4, 6.0)
    assert len(folder.calls) == 2


def test_the_digest_covers_all_code_that_a_phantom_is_made_by():
    package = Path(cache.__file__).resolve().parent
    covered = {f"synthex_sim.patient.phantom.{path.stem}" for path in package.glob("*.py")}
    covered |= {"synthex_sim.patient.phantom", "synthex_sim.patient.patient", "synthex_sim.anatomy", "synthex_sim"}
    covered |= {"synthex_sim.random_streams"}
    for path in package.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("synthex_sim"):
                assert node.module in covered, f"{path.name} uses {node.module}, which the digest does not see"


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_a_damaged_file_is_built_anew_with_a_warning(folder, built, caplog, damage):
    cache.cached_phantom(4, 6.0)
    (path,) = folder.files()
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 3] ^= 0xFF
    path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "text": b"hello"}.get(damage, content))
    with caplog.at_level(logging.WARNING):
        assert same(cache.cached_phantom(4, 6.0), built)
    assert "damaged" in caplog.text and len(folder.calls) == 2
    assert same(cache.cached_phantom(4, 6.0), built) and len(folder.calls) == 2, "and is whole again"


def test_what_was_used_longest_ago_goes_first(folder, monkeypatch):
    cache.cached_phantom(1, 6.0)
    (first,) = folder.files()
    size = first.stat().st_size
    monkeypatch.setenv("SYNTHEX_PHANTOM_CACHE_MB", str(2.5 * size / 1e6))
    cache.cached_phantom(2, 6.0)
    (second,) = set(folder.files()) - {first}
    os.utime(first, (1e9, 1e9))
    os.utime(second, (1.1e9, 1.1e9))
    cache.cached_phantom(1, 6.0)  # read: now the second is the oldest
    cache.cached_phantom(3, 6.0)
    assert len(folder.files()) == 2 and first in folder.files() and second not in folder.files()


def test_half_written_files_of_killed_processes_are_removed_but_not_those_of_others_at_work(folder):
    folder.path.mkdir()
    old, new = folder.path / ".a.tmp", folder.path / ".b.tmp"
    old.write_bytes(b"x")
    new.write_bytes(b"x")
    os.utime(old, (1e9, 1e9))
    cache.cached_phantom(4, 6.0)
    assert not old.exists() and new.exists()


def test_nothing_is_kept_where_that_is_asked_for(folder, monkeypatch):
    monkeypatch.setenv("SYNTHEX_PHANTOM_CACHE_MB", "0")
    cache.cached_phantom(4, 6.0)
    assert not folder.path.exists()


@pytest.mark.parametrize("text", ["-1", "much", "nan", "inf", ""])
def test_a_limit_that_is_no_size_is_refused(folder, monkeypatch, text):
    monkeypatch.setenv("SYNTHEX_PHANTOM_CACHE_MB", text)
    with pytest.raises(ValueError, match="SYNTHEX_PHANTOM_CACHE_MB"):
        cache.cached_phantom(4, 6.0)


def test_a_folder_that_cannot_be_written_costs_time_only(folder, built, caplog, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SYNTHEX_CACHE_DIR", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert same(cache.cached_phantom(4, 6.0), built)
    assert "cannot be kept" in caplog.text


def test_several_at_once_get_whole_phantoms(folder, built):
    with ThreadPoolExecutor(8) as pool:
        patients = list(pool.map(lambda _: cache.cached_phantom(4, 6.0), range(24)))
    assert all(same(patient, built) for patient in patients)
    assert len(folder.files()) == 1 and not list(folder.path.glob("*.tmp"))
