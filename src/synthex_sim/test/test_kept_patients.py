"""Kept patients: the same to the last bit, made once, never of older code or other files, never more than allowed."""

import ast
import logging
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from synthex_sim.patient import kept_patients, made_patient
from synthex_sim.patient.ct_patient import LoadedPatient
from synthex_sim.patient.kept_patients import kept_patient
from synthex_sim.patient.label_scheme import LabelScheme
from synthex_sim.patient.made_patient import load_made
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.shape_model.atlas import FILES
from synthex_sim.patient.source import load_patient, planned_landmarks
from synthex_sim.patient.thorax import source as thorax

_RNG = np.random.default_rng(1)
HU = _RNG.integers(-1000, 2000, (30, 20, 10)).astype(np.int16)
MADE = LoadedPatient(
    Patient("anyone", HU, np.diag([2.0, 2.0, 3.0, 1.0]), _RNG.integers(0, 7, HU.shape).astype(np.uint8),
            {"FH-l": np.array([1.1, 2.2, 1 / 3])}, {8: "urinary_bladder"}),
    ("only the outlines are real",),
)


class Maker:
    """Makes ``MADE``; ``calls`` counts how often."""

    def __init__(self, path):
        self.path, self.calls = path, 0

    def __call__(self):
        self.calls += 1
        return MADE

    def ask(self, *made_of):
        return kept_patient(made_of or ("anyone", 4), self)

    def files(self):
        return sorted(self.path.glob("*.patient"))


@pytest.fixture
def maker(tmp_path, monkeypatch):
    """With an empty cache."""
    monkeypatch.setenv("SYNTHEX_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("SYNTHEX_PATIENT_CACHE_MB", raising=False)
    return Maker(tmp_path / "patients")


def same(a, b):
    one, other = a.patient, b.patient
    return (one.name == other.name and one.digest() == other.digest() and a.notes == b.notes
            and one.hu.dtype == other.hu.dtype and one.structures == other.structures)  # fmt: skip


def test_a_kept_patient_is_the_made_one_to_the_last_bit_with_its_notes(maker):
    first, second = maker.ask(), maker.ask()
    assert maker.calls == 1 and first is MADE and second is not MADE
    assert same(second, MADE) and np.array_equal(second.patient.labels, MADE.patient.labels)
    second.patient.hu[0, 0, 0] = 5  # its arrays are its own
    assert same(maker.ask(), MADE)


def test_a_patient_without_labels_is_kept_too(maker):
    bare = LoadedPatient(Patient("bare", HU, np.eye(4)), ())
    kept_patient(("bare",), lambda: bare)
    assert kept_patient(("bare",), maker).patient.labels is None and not maker.calls


def test_another_parameter_and_another_code_ask_for_another_file(maker, monkeypatch):
    for made_of in (("anyone", 4), ("anyone", 5), ("anyone", 4, None), ("other", 4)):
        maker.ask(*made_of)
    assert maker.calls == 4 and len(maker.files()) == 4
    monkeypatch.setattr(kept_patients, "_CODE", "another")
    maker.ask()
    assert maker.calls == 5


def test_the_digest_covers_all_code_that_a_patient_is_made_by():
    package = Path(kept_patients.__file__).resolve().parent
    covered = {"synthex_sim", "synthex_sim.anatomy", "synthex_sim.random_streams"}
    # they fetch, draw and store, and read schemes, whose content is named with the patient
    covered |= {f"synthex_sim.{name}" for name in ("whole_files", "file_lock", "version", "display", "yaml_file")}
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("synthex_sim"):
                inside = node.module == "synthex_sim.patient" or node.module.startswith("synthex_sim.patient.")
                assert inside or node.module in covered, f"{path.name} uses {node.module}: not in the digest"
                names = {f"synthex_sim.{alias.name}" for alias in node.names} if node.module == "synthex_sim" else set()
                assert names <= {*covered, "synthex_sim.patient"}, f"{path.name} uses {names}"


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_a_damaged_file_is_made_anew_with_a_warning(maker, caplog, damage):
    maker.ask()
    (path,) = maker.files()
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "text": b"hello"}.get(damage, content))
    with caplog.at_level(logging.WARNING):
        assert same(maker.ask(), MADE)
    assert caplog.text.count(" is damaged (") == 1 and maker.calls == 2
    assert same(maker.ask(), MADE) and maker.calls == 2, "and is whole again"


def test_what_was_used_longest_ago_goes_first(maker, monkeypatch):
    maker.ask("anyone", 1)
    (first,) = maker.files()
    monkeypatch.setenv("SYNTHEX_PATIENT_CACHE_MB", str(2.5 * first.stat().st_size / 1e6))
    maker.ask("anyone", 2)
    (second,) = set(maker.files()) - {first}
    os.utime(first, (1e9, 1e9))
    os.utime(second, (1.1e9, 1.1e9))
    maker.ask("anyone", 1)  # read: now the second is the oldest
    maker.ask("anyone", 3)
    assert len(maker.files()) == 2 and first in maker.files() and second not in maker.files()


def test_what_killed_processes_left_is_removed_but_not_what_others_are_at(maker):
    maker.path.mkdir()
    left, busy = [maker.path / name for name in (".a.tmp", "a.lock")], [maker.path / n for n in (".b.tmp", "b.lock")]
    for path in (*left, *busy):
        path.write_bytes(b"x")
    for path in left:
        os.utime(path, (1e9, 1e9))
    maker.ask()
    assert not any(path.exists() for path in left) and all(path.exists() for path in busy)


def test_nothing_is_kept_where_that_is_asked_for(maker, monkeypatch):
    monkeypatch.setenv("SYNTHEX_PATIENT_CACHE_MB", "0")
    maker.ask()
    assert not maker.path.exists()


@pytest.mark.parametrize("text", ["-1", "much", "nan", "inf", ""])
def test_a_limit_that_is_no_size_is_refused(maker, monkeypatch, text):
    monkeypatch.setenv("SYNTHEX_PATIENT_CACHE_MB", text)
    with pytest.raises(ValueError, match="SYNTHEX_PATIENT_CACHE_MB"):
        maker.ask()


def test_a_folder_that_cannot_be_written_costs_time_only(maker, caplog, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SYNTHEX_CACHE_DIR", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert same(maker.ask(), MADE)
    assert "cannot be kept" in caplog.text and "is damaged" not in caplog.text


def test_what_fails_leaves_nothing_and_is_tried_again(maker):
    def fail():
        raise ValueError("no hips")

    with pytest.raises(ValueError, match="no hips"):
        kept_patient(("anyone", 4), fail)
    assert not list(maker.path.iterdir())
    assert maker.ask() is MADE


def test_threads_that_ask_at_the_same_time_make_it_once(maker):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: maker.ask(), range(24)))
    assert all(same(loaded, MADE) for loaded in found) and maker.calls == 1
    assert [path.suffix for path in maker.path.iterdir()] == [".patient"]


#: Says when it begins to make the patient, waits for a line, and says when it has one.
_PROCESS = """
import sys
import numpy as np
from synthex_sim.patient.ct_patient import LoadedPatient
from synthex_sim.patient.kept_patients import kept_patient
from synthex_sim.patient.patient import Patient

def make():
    print("makes", flush=True)
    sys.stdin.readline()
    return LoadedPatient(Patient("anyone", np.zeros((3, 3, 3), np.int16), np.eye(4)), ())

print("asks", flush=True)
kept_patient(("anyone",), make)
print("has it", flush=True)
"""


@pytest.fixture
def process(maker):
    """Starts processes that ask for one patient, each up to the moment at which it asks."""
    started = []

    def start():
        asking = subprocess.Popen([sys.executable, "-c", _PROCESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True)  # fmt: skip
        started.append(asking)
        assert asking.stdout.readline() == "asks\n"
        return asking

    yield start
    for asking in started:
        asking.kill()
        asking.communicate()


def _waits(asking):
    """Whether a process is asleep in the system's lock, as soon as it is."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if any(line.split()[1:2] == ["->"] and line.split()[5] == str(asking.pid)
               for line in Path("/proc/locks").read_text().splitlines()):  # fmt: skip
            return True
        time.sleep(0.01)
    return False


def test_a_second_process_waits_for_the_first_and_makes_nothing(process, maker):
    first = process()
    assert first.stdout.readline() == "makes\n"
    second = process()
    assert _waits(second)
    first.stdin.write("\n")
    first.stdin.flush()
    assert second.stdout.readline() == "has it\n" and len(maker.files()) == 1


def test_a_killed_process_leaves_nobody_waiting(process):
    first = process()
    assert first.stdout.readline() == "makes\n"
    second = process()
    assert _waits(second)
    first.send_signal(signal.SIGKILL)
    assert second.stdout.readline() == "makes\n"


# -- what patients that are made of files are known by ----------------------------------------------------------------
class Dressing(list):
    """Notes with which arguments patients were dressed; each is ``MADE``."""

    def __call__(self, labels, *others):
        assert not labels.notes
        self.append((labels, *others))
        return MADE


@pytest.fixture
def dressing(maker, monkeypatch):
    made = Dressing()
    monkeypatch.setattr(made_patient, "dressed_patient", made)
    return made


def write_label_map(path, values, mask=None):
    """A label map in a header and a compressed raw file, as those of the pelvis are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, content in (("label", values), ("mask", mask)):
        if content is not None:
            sitk.WriteImage(sitk.GetImageFromArray(content), str(path.with_name(f"{name}.mhd")), useCompression=True)
    return f"dressed:{path}"


LABELS, MASK = (np.arange(60, dtype=np.int16).reshape(3, 4, 5) % n for n in (7, 2))


def test_a_label_map_of_the_same_content_is_the_same_patient_wherever_it_lies(dressing, maker, tmp_path):
    first = write_label_map(tmp_path / "doe" / "label.mhd", LABELS, MASK)
    assert [path.suffix for path in sorted((tmp_path / "doe").iterdir())] == [".mhd", ".zraw", ".mhd", ".zraw"]
    elsewhere = write_label_map(tmp_path / "b" / "label.mhd", LABELS, MASK)
    assert same(load_made(first, None), MADE) and same(load_made(elsewhere, None), MADE)
    assert len(dressing) == 1
    (path,) = maker.files()
    assert "doe" not in path.name and b"doe" not in path.read_bytes() and b"label.mhd" not in path.read_bytes()


@pytest.mark.parametrize("change", ["label", "mask", "no mask", "place", "seed", "scheme", "voxels"])
def test_another_input_is_another_patient(dressing, tmp_path, change):
    source = write_label_map(tmp_path / "label.mhd", LABELS, MASK)
    load_made(source, None, 1.5)
    if change in ("label", "mask"):
        write_label_map(tmp_path / "new" / "label.mhd", np.roll(LABELS, 1, axis=2), np.roll(MASK, 1, axis=2))
        for ending in ("mhd", "zraw"):  # the header says how long the compressed voxels are
            (tmp_path / "new" / f"{change}.{ending}").replace(tmp_path / f"{change}.{ending}")
    elif change == "no mask":
        (tmp_path / "mask.mhd").unlink()
    elif change == "place":
        header = tmp_path / "label.mhd"
        header.write_text(header.read_text().replace("Offset = 0 0 0", "Offset = 0 0 5"))
    source += "?seed=1" if change == "seed" else ""
    scheme = LabelScheme({1: 2}) if change == "scheme" else None
    load_made(source, scheme, 2.0 if change == "voxels" else 1.5)
    assert len(dressing) == 2


def test_shape_models_of_the_same_content_are_the_same_patient(maker, monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(made_patient, "shape_model_patient", lambda *arguments: made.append(arguments) or MADE)
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        for name in FILES.values():
            (tmp_path / folder / name).write_text(name)
        load_made(f"shape_model:{tmp_path / folder}", None)
    assert len(made) == 1
    (tmp_path / "other" / "Sacrum.h5").write_text("changed")
    load_made(f"shape_model:{tmp_path / 'other'}", None)
    load_made(f"shape_model:{tmp_path / 'other'}?seed=1", None)
    assert len(made) == 3


def test_a_plan_on_a_made_patient_asks_for_the_one_that_is_imaged(dressing, tmp_path):
    source = write_label_map(tmp_path / "label.mhd", LABELS)
    load_patient(source)
    assert planned_landmarks(source)["FH-l"].tolist() == MADE.patient.landmarks["FH-l"].tolist()
    assert len(dressing) == 1


def test_a_thorax_is_kept_by_seed_and_lesions(maker, monkeypatch):
    made = []
    monkeypatch.setattr(thorax, "make_thorax", lambda *arguments: made.append(arguments) or MADE)
    for source in ("thorax:1", "thorax:2", "thorax:1?lesions=no", "thorax:1?lesions=yes") * 2:
        load_patient(source)
    assert [arguments[::2] for arguments in made] == [(1, None), (2, None), (1, False), (1, True)]
