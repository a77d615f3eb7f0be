"""A file is written whole, or the old one stays and nothing is left of the attempt."""

import pytest

from synthex_sim.whole_files import write_whole


def test_text_is_utf_8_and_bytes_are_as_they_are(tmp_path):
    write_whole(tmp_path / "text", "± 2 mm\n")
    write_whole(tmp_path / "bytes", b"\x89PNG\r\n")
    assert (tmp_path / "text").read_bytes() == "± 2 mm\n".encode()
    assert (tmp_path / "bytes").read_bytes() == b"\x89PNG\r\n"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch, error):
    path = tmp_path / "session.json"
    write_whole(path, "old")

    def fails(*_):
        raise error

    monkeypatch.setattr(type(path), "replace", fails)
    with pytest.raises(type(error)):
        write_whole(path, "new")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["session.json"]
