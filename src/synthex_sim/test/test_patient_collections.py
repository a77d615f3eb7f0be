"""Public collections: nothing without consent, nothing half, nothing wrong, nothing outside, nothing of users lost."""

import fcntl
import hashlib
import io
import json
import os
import shutil
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from archive_server import serve

from synthex_sim.patient.__main__ import main
from synthex_sim.patient.collections import disk_space
from synthex_sim.patient.collections import download as downloading
from synthex_sim.patient.collections import fetch as fetching
from synthex_sim.patient.collections.collection import Licence, load_collection, load_collections
from synthex_sim.patient.collections.record import RECORD_NAME, Record
from synthex_sim.patient.collections.restrictions import short_words
from synthex_sim.patient.collections.unpack import unpack

REPOSITORY = Path(__file__).resolve().parents[3]
CONTENT = bytes(range(256)) * 2000  # 512 kB: several chunks


def sha256(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def zip_of(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return file.getvalue()


@pytest.fixture
def archive(monkeypatch):
    monkeypatch.setattr(downloading.time, "sleep", lambda seconds: None)
    with serve() as running:
        yield running


@pytest.fixture
def place(tmp_path, archive):
    """A fabricated collection of a plain file and a zip, an archive that holds them, and a folder to fetch into."""
    packed = zip_of(set__ct_a=CONTENT, set__ct_b=b"b" * 1000)
    archive.files |= {"plain.bin": CONTENT, "set.zip": packed}
    return Place(tmp_path, archive, [
        entry("plain.bin", len(CONTENT), sha256(CONTENT)),
        entry("set.zip", len(packed), "md5:" + hashlib.md5(packed).hexdigest(), unpack=True),
    ])


def entry(path, size=None, checksum=None, unpack=False):
    return {"path": path, "url": path, "bytes": size, "checksum": checksum,
            "checksum_from": checksum and "archive", "unpack": unpack}


class Place:
    """Where a test's collection is described and fetched into."""

    def __init__(self, folder, archive, files):
        self.archive, self.into = archive, folder / "data"
        self.folder, self.config = self.into / "bones", folder / "config"
        (self.config / "collections").mkdir(parents=True)
        self.document = {
            "title": "Fabricated bones", "what": "Nobody's bones.", "home": "https://bones.invalid", "version": "1",
            "licences": [{"of": "all of it", "name": "CC BY-NC 4.0", "url": "https://licence.invalid",
                          "attribution": True, "non_commercial": True, "share_alike": False,
                          "no_redistribution": None, "application": False, "stated": "nobody"}],
            "citation": ["Nobody. Bones (2026)."], "download_gb": None, "unpacked_gb": None, "archive_record": None,
            "base_url": archive.url, "files": files, "steps": [], "label_scheme": None, "testing_only": [], "notes": [],
        }
        self.change()

    def change(self, **values):
        self.document |= values
        (self.config / "collections" / "bones.yaml").write_text(yaml.safe_dump(self.document))

    def run(self, *arguments):
        return main(["fetch", *arguments, "--config-folder", str(self.config)])

    def fetch(self, *arguments):
        return self.run("bones", "--into", str(self.into), "--accept-licence", "bones", *arguments)

    def names(self):
        return sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file())


ALL = [RECORD_NAME, "plain.bin", "set/set/ct_a", "set/set/ct_b"]


def test_a_collection_is_fetched_checked_unpacked_and_recorded(place, capsys):
    assert place.fetch() == 0
    assert place.names() == ALL and (place.folder / "set/set/ct_a").read_bytes() == CONTENT
    record = json.loads((place.folder / RECORD_NAME).read_text())
    assert record["collection"] == "bones" and record["complete"] and record["home"] == "https://bones.invalid"
    assert record["restrictions"] == ["attribution", "non-commercial", "no redistribution?"]
    assert record["licences"][0]["name"] == "CC BY-NC 4.0" and record["citation"] == ["Nobody. Bones (2026)."]
    assert record["consent_given"] == "by --accept-licence" and len(record["consent_date"]) == 10
    plain, packed = record["files"]
    assert plain["url"] == place.archive.url + "plain.bin" and "sha256:" + plain["sha256"] == sha256(CONTENT)
    assert packed["path"] == "set" and packed["checksum"].startswith("md5:") and packed["verified"]
    words = capsys.readouterr().out
    for told in ("CC BY-NC 4.0", "no commercial use", "not known, act as if so: do not pass", "Nobody. Bones",
                 "2 files"):
        assert told in words


def test_what_is_complete_is_not_asked_for_again_and_what_is_missing_is(place, capsys):
    assert place.fetch() == 0
    asked = len(place.archive.asked)
    assert place.run("bones", "--into", str(place.into)) == 0  # no consent needed: it is on record
    assert len(place.archive.asked) == asked and "is already in" in capsys.readouterr().out
    (place.folder / "plain.bin").unlink()
    assert place.run("bones", "--into", str(place.into)) == 0
    assert [path for path, _ in place.archive.asked[asked:]] == ["plain.bin"] and place.names() == ALL


def test_without_consent_nothing_is_asked_for_and_nothing_written(place, capsys, monkeypatch):
    assert place.run("bones", "--into", str(place.into)) == 1
    assert "--accept-licence bones" in capsys.readouterr().err
    for answer in ("no\n", "", "y\n"):
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        assert place.run("bones", "--into", str(place.into)) == 1
        assert "not agreed; nothing was downloaded" in capsys.readouterr().err
    assert not place.into.exists() and place.archive.asked == []


def test_where_there_is_no_terminal_at_all_nobody_agrees(place, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)  # as where a script has closed it
    assert place.run("bones", "--into", str(place.into)) == 1
    assert "nobody is at the terminal" in capsys.readouterr().err and not place.into.exists()


def test_a_file_is_no_place_to_fetch_into_and_that_is_said_before_anybody_agrees(place, capsys, tmp_path):
    (tmp_path / "file").write_text("of the user")
    assert place.run("bones", "--into", str(tmp_path / "file")) == 1
    shown = capsys.readouterr()
    assert "is a file; name a folder" in shown.err and not shown.out and place.archive.asked == []


def test_a_person_agrees_by_typing_the_name(place, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal("bones\n"))
    assert place.run("bones", "--into", str(place.into)) == 0
    assert Record.read(place.folder).consent_given == "on the terminal"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_other_terms_are_agreed_to_anew(place, capsys):
    assert place.fetch() == 0
    licences = [dict(place.document["licences"][0], share_alike=True)]
    place.change(licences=licences)
    assert place.run("bones", "--into", str(place.into)) == 1
    assert place.fetch() == 0 and "differ from what was agreed to" in capsys.readouterr().out
    assert Record.read(place.folder).licences[0].share_alike and len(place.archive.asked) == 2


def test_a_consent_to_another_collection_or_none_at_all_is_told(place, capsys):
    assert place.run("bones", "--into", str(place.into), "--accept-licence", "skulls") == 1
    assert place.run("bons", "--into", str(place.into)) == 1
    assert "no collection 'bons' (bones?); known: bones" in capsys.readouterr().err


def test_a_run_that_was_cut_goes_on_where_it_was(place, capsys):
    place.archive.cut_after, place.archive.cuts = 300_000, 1
    place.archive.files.pop("set.zip")
    assert place.fetch() == 1  # the zip is missing; the plain file came in two parts within this run
    assert [asked for path, asked in place.archive.asked if path == "plain.bin"] == [None, "bytes=300000-"]
    assert "404" in capsys.readouterr().err and place.names() == [RECORD_NAME, "plain.bin"]


def test_a_run_that_gave_up_is_gone_on_with_by_the_next(place, capsys):
    archive = place.archive
    archive.cut_after = 200_000

    def dead_after_three(seconds):
        if len(archive.asked) >= 1:
            archive.cut_after = 0

    downloading.time.sleep = dead_after_three
    assert place.fetch() == 1
    assert "the same command goes on" in capsys.readouterr().err
    part = place.folder / ".plain.bin.part"
    assert not (place.folder / "plain.bin").exists() and part.stat().st_size == 200_000
    assert not Record.read(place.folder).complete
    archive.cut_after = None
    before = archive.sent
    assert place.fetch() == 0 and place.names() == ALL
    assert archive.sent - before == len(CONTENT) - 200_000 + len(archive.files["set.zip"])
    assert (place.folder / "plain.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_that_changed_in_between_is_not_patched_together(place, ranges):
    old, new = b"o" * len(CONTENT), CONTENT
    place.archive.files["plain.bin"], place.archive.cut_after, place.archive.cuts = old, 100_000, 1
    place.archive.ranges = ranges

    def changes(seconds):
        place.archive.files["plain.bin"] = new

    downloading.time.sleep = changes
    assert place.fetch() == 0
    assert (place.folder / "plain.bin").read_bytes() == new


def test_a_wrong_checksum_leaves_nothing_under_the_name(place, capsys):
    place.archive.files["plain.bin"] = CONTENT[:-1] + b"x"
    assert place.fetch() == 1
    assert "is not the file that was published" in capsys.readouterr().err
    assert place.names() == [RECORD_NAME] and not Record.read(place.folder).complete


def test_a_wrong_size_or_a_web_page_is_refused_before_it_is_downloaded(place, capsys):
    place.archive.files["plain.bin"] = CONTENT + b"x"
    assert place.fetch() == 1
    assert "512001 bytes, 512000 were published" in capsys.readouterr().err
    place.archive.files["plain.bin"] = CONTENT
    place.archive.kinds["plain.bin"] = "text/html; charset=utf-8"
    assert place.fetch() == 1
    assert "answers with a web page" in capsys.readouterr().err
    assert place.archive.files["plain.bin"] not in [p.read_bytes() for p in place.folder.iterdir()]


def test_what_nobody_published_a_checksum_of_is_told_to_be_unverified(place, capsys):
    place.change(files=[entry("plain.bin")])
    assert place.fetch() == 0
    words = capsys.readouterr().out
    assert "could not be verified" in words and sha256(CONTENT)[7:] in words and "not verified, for want" in words
    assert not Record.read(place.folder).files[0].verified


@pytest.mark.parametrize(("kind", "answer"), [
    ("zenodo", lambda md5: {"files": [{"key": "plain.bin", "size": len(CONTENT), "checksum": f"md5:{md5}"}]}),
    ("dataverse", lambda md5: {"data": {"latestVersion": {"files": [{"label": "plain.bin", "dataFile": {
        "filesize": len(CONTENT), "md5": md5, "checksum": {"type": "MD5", "value": md5}}}]}}}),
])
def test_the_archive_is_asked_for_checksums_that_are_not_known(place, capsys, kind, answer):
    place.change(files=[entry("plain.bin")], archive_record={"kind": kind, "url": place.archive.url + "record"})
    place.archive.files["record"] = json.dumps(answer("0" * 32)).encode()
    assert place.fetch() == 1 and "published is 00000000" in capsys.readouterr().err
    place.archive.files["record"] = json.dumps(answer(hashlib.md5(CONTENT).hexdigest())).encode()
    assert place.fetch() == 0
    assert Record.read(place.folder).files[0].checksum == "md5:" + hashlib.md5(CONTENT).hexdigest()
    (place.folder / "plain.bin").unlink()
    place.archive.files["record"] = b"[]"
    assert place.fetch() == 0 and "note: the archive does not tell" in capsys.readouterr().out


def test_a_full_disk_is_noticed_before_anything_is_asked_for(place, capsys, monkeypatch):
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda path: SimpleNamespace(free=200_600_000))
    assert place.fetch() == 1
    assert "GB are free" in capsys.readouterr().err
    assert place.archive.asked == [] and not place.into.exists()


def test_files_of_the_user_are_used_or_left_alone(place, capsys):
    place.folder.mkdir(parents=True)
    (place.folder / "plain.bin").write_bytes(b"mine")
    assert place.fetch() == 1 and "move it elsewhere" in capsys.readouterr().err
    assert (place.folder / "plain.bin").read_bytes() == b"mine"
    (place.folder / "plain.bin").write_bytes(CONTENT)
    (place.folder / "set.zip").write_bytes(place.archive.files["set.zip"])
    (place.folder / "own.txt").write_text("mine")
    assert place.fetch() == 0 and place.archive.asked == []
    assert place.names() == sorted([*ALL, "set.zip", "own.txt"])


def test_an_own_copy_of_what_has_no_checksum_is_taken_and_told_to_be_unverified(place, capsys):
    place.change(files=[entry("set.zip", unpack=True)])
    place.folder.mkdir(parents=True)
    (place.folder / "set.zip").write_bytes(place.archive.files["set.zip"])
    assert place.fetch() == 0 and place.archive.asked == []
    assert "could not be verified" in capsys.readouterr().out and (place.folder / "set/set/ct_a").exists()


def test_a_folder_of_the_user_in_the_way_is_left_alone(place, capsys):
    (place.folder / "set").mkdir(parents=True)
    (place.folder / "set" / "own.txt").write_text("mine")
    assert place.fetch() == 1 and "is in the way" in capsys.readouterr().err
    assert (place.folder / "set" / "own.txt").read_text() == "mine"
    assert place.archive.asked == [("plain.bin", None)]


def test_two_runs_do_not_write_into_one_file(place, capsys):
    place.folder.mkdir(parents=True)
    with open(place.folder / ".plain.bin.part", "ab") as part:
        fcntl.flock(part, fcntl.LOCK_EX)
        assert place.fetch() == 1
    assert "by another run" in capsys.readouterr().err


def test_a_run_that_was_killed_while_unpacking_is_gone_on_with(place, monkeypatch):
    def killed(*_arguments):
        (place.folder / ".set.unpacking").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "unpack", killed)
    assert place.fetch() == 130
    monkeypatch.undo()
    sent = place.archive.sent
    assert place.fetch() == 0 and place.names() == ALL and place.archive.sent == sent


def test_by_hand_the_steps_are_told_and_the_consent_recorded(place, capsys):
    place.change(files=[], steps=["Ask them.", "Put it here."])
    assert place.fetch() == 0
    words = capsys.readouterr().out
    assert "1. Ask them." in words and "2. Put it here." in words and str(place.folder) in words
    assert Record.read(place.folder).complete and place.archive.asked == []


def test_terms_are_shown_without_fetching(place, capsys):
    assert place.run("bones") == 0 and place.run() == 0
    words = capsys.readouterr().out
    assert "CC BY-NC 4.0" in words and "attribution, non-commercial, no redistribution?" in words
    assert place.archive.asked == [] and not place.into.exists()


def test_an_archive_may_send_elsewhere_but_not_out_of_https(place, capsys):
    place.archive.moved["plain.bin"] = place.archive.url + "store"
    place.archive.files["store"] = CONTENT
    place.change(files=[entry("plain.bin", len(CONTENT), sha256(CONTENT))])
    assert place.fetch() == 0
    (place.folder / "plain.bin").unlink()
    place.archive.moved["plain.bin"] = "http://elsewhere.invalid/plain.bin"
    assert place.fetch() == 1 and "is no https address" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../evil", "set/../../evil", "/evil", "C:evil", "a\\..\\evil", "set/twice"])
@pytest.mark.parametrize("kind", ["set.zip", "set.tar.gz"])
def test_archives_cannot_write_outside_or_twice(tmp_path, name, kind):
    path = tmp_path / "in" / kind
    path.parent.mkdir()
    names = ["set/good", name, *(["set/twice"] if name == "set/twice" else [])]
    if kind == "set.zip":
        with zipfile.ZipFile(path, "w") as file, pytest.warns(UserWarning) if len(names) == 3 else Nothing():
            for member in names:
                file.writestr(member, b"x")
    else:
        with tarfile.open(path, "w:gz") as file:
            for member in names:
                file.addfile(sized(member), io.BytesIO(b"x"))
    with pytest.raises(ValueError, match="outside of its folder|twice"):
        unpack(path, kind, tmp_path / "in" / "out")
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == ["in", f"in/{kind}"]


class Nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_error):
        return False


def sized(name, **values):
    member = tarfile.TarInfo(name)
    member.size = 1
    for key, value in values.items():
        setattr(member, key, value)
    return member


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as file:
        file.addfile(sized("set/good"), io.BytesIO(b"x"))
        file.addfile(sized("set/link", type=kind, linkname="/etc/passwd", size=0))
    with pytest.raises(ValueError, match="link or a device"):
        unpack(path, "a.tar", tmp_path / "out")
    assert os.listdir(tmp_path) == ["a.tar"]


def test_a_link_in_a_zip_and_a_damaged_archive_are_refused(tmp_path):
    link = zipfile.ZipInfo("set/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match="link or a device"):
        unpack(tmp_path / "a.zip", "a.zip", tmp_path / "out")
    whole = zip_of(a=CONTENT)
    (tmp_path / "b.zip").write_bytes(whole[:100] + b"damage" + whole[106:])
    with pytest.raises(ValueError, match="damaged or no archive"):
        unpack(tmp_path / "b.zip", "b.zip", tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["a.zip", "b.zip"]


@pytest.mark.parametrize("pack", ["gz", "bz2", "xz"])
def test_a_damaged_tar_is_refused_and_nothing_of_it_stays(tmp_path, pack):
    path = tmp_path / f"a.tar.{pack}"
    with tarfile.open(path, f"w:{pack}") as file:
        member = sized("set/good")
        member.size = 300_000
        file.addfile(member, io.BytesIO(np.random.default_rng(1).bytes(300_000)))
    whole = path.read_bytes()
    path.write_bytes(whole[:200_000] + b"damage" + whole[200_006:])
    with pytest.raises(ValueError, match="damaged or no archive"):
        unpack(path, path.name, tmp_path / "out")
    assert os.listdir(tmp_path) == [path.name]


def test_an_archive_that_unpacks_to_more_than_the_disk_holds_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.zip").write_bytes(zip_of(a=CONTENT))
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda path: SimpleNamespace(free=200_100_000))
    with pytest.raises(OSError, match="unpacking a.zip needs"):
        unpack(tmp_path / "a.zip", "a.zip", tmp_path / "out")
    assert os.listdir(tmp_path) == ["a.zip"]


@pytest.mark.parametrize(("changed", "message"), [
    ({"base_url": "http://example.org/"}, "no https address"),
    ({"base_url": "file:///etc/"}, "no https address"),
    ({"files": [entry("../up", 1, sha256(b""))]}, "within the collection's folder"),
    ({"files": [entry("a", 1, "md5:12")]}, "a checksum is written as"),
    ({"files": [entry("a", -1)]}, "bytes must be"),
    ({"licences": []}, "must not be empty"),
    ({"files": []}, "files to download or steps"),
    ({"testing_only": ["a/*"]}, "no name of a folder"),
    ({"colour": "red"}, "unknown keys colour"),
])
def test_a_description_with_a_mistake_says_which(place, changed, message, capsys):
    place.change(**changed)
    assert place.fetch() == 1
    error = capsys.readouterr().err
    assert message in error and "bones.yaml" in error


def test_the_shipped_collections_are_whole_and_attributed():
    collections = load_collections(REPOSITORY / "config" / "collections")
    schemes = {p.stem for p in (REPOSITORY / "config" / "labels").glob("*.yaml")}
    notice = (REPOSITORY / "NOTICE").read_text()
    page = (REPOSITORY / "docs" / "collections.md").read_text()
    assert {"totalsegmentator_ct", "totalsegmentator_ct_small", "deepfluoro", "nmdid", "pelvic_reference",
            "istar_pelvis_atlas", "lidc_idri", "qata_cov19", "ctpelvic1k_clinic"} <= set(collections)
    for name, collection in collections.items():
        assert collection.label_scheme is None or collection.label_scheme in schemes, name
        assert f"`{name}`" in page and name in notice, name
        for file in collection.files:
            assert file.checksum or collection.archive_record, f"{name}: {file.path} could not be verified"
    assert short_words(collections["deepfluoro"].licences) == ["attribution", "non-commercial"]
    assert collections["pelvic_reference"].testing_only == ("Pelvic-Ref-002",)
    assert not collections["nmdid"].files and "application" in short_words(collections["nmdid"].licences)


def test_a_restriction_that_is_not_known_counts_but_one_that_is_known_not_to_hold_does_not():
    licence = Licence("x", "x", "x", True, None, False, False, False, "x")
    assert short_words([licence]) == ["attribution", "non-commercial?"]
    assert short_words([licence, replace(licence, non_commercial=True)]) == ["attribution", "non-commercial"]
    assert short_words([replace(licence, attribution=False, non_commercial=False)]) == []


def test_a_description_survives_its_folder_being_moved(place, tmp_path):
    assert place.fetch() == 0
    shutil.move(place.folder, tmp_path / "elsewhere")
    assert Record.read(tmp_path / "elsewhere").agrees_with(load_collection(place.config / "collections/bones.yaml"))
