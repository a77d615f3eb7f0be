"""The viewer is reachable from this machine only, tells nobody of it, and ends with its server."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest

pytest.importorskip("rerun", reason="needs rerun-sdk")

from synthex_bringup.viewer.page_server import content_policy  # noqa: E402
from synthex_bringup.viewer.server import Address, ViewerError, ViewerServer, free_port  # noqa: E402


def listeners() -> dict[int, str]:
    """Port -> address in hexadecimal, of all that listen on this machine."""
    found = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A":
            address, port = fields[1].split(":")
            found[int(port, 16)] = address
    return found


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return tmp_path_factory.mktemp("settings")


@pytest.fixture(scope="module")
def server(settings):
    started = ViewerServer(free_port(0), free_port(0), 64, settings)
    yield started
    started.close()


def test_page_and_data_listen_on_this_machine_only(server):
    heard = listeners()
    assert heard[server.address.web_port] == heard[server.address.data_port] == "0100007F"


def test_the_page_may_talk_to_this_machine_only(server):
    with urllib.request.urlopen(server.address.page_url, timeout=10) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "re_viewer" in answer.read().decode()
    assert policy == content_policy(server.address.data_port)
    (connect,) = (rule for rule in policy.split("; ") if rule.startswith("connect-src"))
    allowed = {f"http://{host}:{server.address.data_port}" for host in ("127.0.0.1", "localhost")}
    assert set(connect.split()[1:]) == {"'self'", "blob:", "data:"} | allowed


def test_the_program_of_the_page_comes_whole(server):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.address.web_port}/re_viewer_bg.wasm", timeout=20) as answer:
        body = answer.read()
    assert answer.headers["Content-Type"] == "application/wasm" and body[:4] == b"\0asm" and len(body) > 10**6


def test_usage_statistics_are_off_and_settings_lie_where_they_were_asked_for(server, settings):
    (file,) = settings.rglob("analytics.json")
    assert json.loads(file.read_text())["analytics_enabled"] is False


def test_a_port_in_use_is_left_to_its_owner():
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        taken = owner.getsockname()[1]
        assert free_port(taken) != taken
    assert free_port(taken) == taken


def test_it_ends_with_all_it_started(settings):
    server = ViewerServer(free_port(0), free_port(0), 64, settings)
    ports = {server.address.web_port, server.address.data_port}
    assert server.running and ports <= set(listeners())
    server.close()
    assert not server.running and not ports & set(listeners())


def test_a_server_whose_node_is_killed_ends_with_it(settings):
    source = ("import sys, time; from pathlib import Path; from synthex_bringup.viewer.server import *\n"
              "server = ViewerServer(0, 0, 64, Path(sys.argv[1])); print(server.address.data_port, flush=True)\n"
              "time.sleep(60)")
    node = subprocess.Popen([sys.executable, "-c", source, str(settings)], stdout=subprocess.PIPE, text=True)
    port = int(node.stdout.readline())
    assert port in listeners()
    node.kill()
    node.wait()
    deadline_s = time.monotonic() + 5
    while port in listeners():
        assert time.monotonic() < deadline_s, "rerun's server outlives its node"
        time.sleep(0.05)


def test_a_server_that_does_not_start_is_named_with_what_it_said(tmp_path, monkeypatch):
    program = tmp_path / "rerun"
    program.write_text("#!/bin/sh\n[ $1 = analytics ] || { echo out of luck; exit 3; }\n")
    program.chmod(0o755)
    monkeypatch.setattr("synthex_bringup.viewer.server._program", lambda: str(program))
    with pytest.raises(ViewerError, match="ended with exit code 3: out of luck"):
        ViewerServer(0, 0, 64, tmp_path / "settings")


def test_a_recording_is_handed_out_whole_and_nothing_else_of_its_folder(settings, tmp_path):
    (tmp_path / "session.rrd").write_bytes(b"RRF2" + bytes(range(256)))
    (tmp_path / "other").touch()
    server = ViewerServer(0, 0, 64, settings, show=tmp_path / "session.rrd")
    try:
        page = f"http://127.0.0.1:{server.address.web_port}/"
        assert server.address.page_url == f"{page}?url={quote(page + 'session.rrd', safe='')}"
        with urllib.request.urlopen(page + "session.rrd", timeout=10) as answer:
            assert answer.read() == (tmp_path / "session.rrd").read_bytes()
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(page + "other", timeout=10)
    finally:
        server.close()


def test_the_tunnel_brings_both_ports():
    address = Address(9090, 9876)
    assert address.tunnel("me", "there") == "ssh -N -L 9090:127.0.0.1:9090 -L 9876:127.0.0.1:9876 me@there"
    assert address.page_url == "http://127.0.0.1:9090/?url=rerun%2Bhttp%3A%2F%2F127.0.0.1%3A9876%2Fproxy"


def test_a_run_without_a_recording_of_the_viewer_is_named(tmp_path):
    command = ["python", "-m", "synthex_bringup.viewer", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ)
    assert done.returncode == 1 and "session.rrd is not there" in done.stderr and len(done.stderr.splitlines()) == 1
