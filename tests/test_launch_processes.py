"""What a running launch does: labels, exit codes, and an end that leaves no process."""

import os
import signal
import subprocess
import time

import pytest

NODE = """
import os, signal, sys, time
def stop(*_):
    os.write(1, b"stopping\\n")  # print is not allowed to interrupt itself
    sys.exit(0)
signal.signal(signal.SIGINT, stop)
print("ready", os.getpid(), flush=True)
time.sleep(60)
"""

STUBBORN_WITH_CHILD = """
import os, signal, subprocess, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
same_group = subprocess.Popen(["sleep", "60"])
own_session = subprocess.Popen(["sleep", "60"], start_new_session=True)
print("ready", os.getpid(), flush=True)
print("child", same_group.pid, flush=True)
print("child", own_session.pid, flush=True)
time.sleep(60)
"""

TWO_NODES = """
launch:
- executable: {cmd: "$(exec-in-pkg node demo)", output: screen}
- executable: {cmd: "$(exec-in-pkg other demo)", output: screen}
"""


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def started(workspace, pids_expected):
    """Starts the launch and waits until `pids_expected` process ids have been printed."""
    launch = subprocess.Popen(workspace.command("demo", "demo.launch.yaml"), env=workspace.environment,
                              cwd=workspace.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              start_new_session=True)
    pids = []
    while len(pids) < pids_expected:
        words = launch.stdout.readline().split()
        assert words, "the launch ended before its processes were ready"
        if len(words) == 3 and words[1] in ("ready", "child"):
            pids.append(int(words[2]))
    return launch, pids


def test_output_is_labelled_with_the_process_and_its_number(workspace):
    workspace.executable("hello", "import sys; print('out'); print('err', file=sys.stderr)")
    workspace.file("""launch: [{executable: {cmd: "$(exec-in-pkg hello demo)", output: screen}}]""")
    result = workspace.launch()
    assert result.returncode == 0
    assert {"[hello-1] out", "[hello-1] err"} <= set(result.stdout.splitlines())
    assert "\033" not in result.stdout, "no colours where nobody sees them"


def test_the_last_line_is_printed_although_it_has_no_newline(workspace):
    workspace.executable("hello", "import sys; sys.stdout.write('x' * 100_000 + '\\nend')")
    workspace.file("""launch: [{executable: {cmd: "$(exec-in-pkg hello demo)", output: screen}}]""")
    lines = workspace.launch().stdout.splitlines()
    assert "[hello-1] " + "x" * 100_000 in lines and "[hello-1] end" in lines


def test_output_to_the_log_does_not_reach_the_screen(workspace):
    workspace.executable("hello", "print('quiet')")
    workspace.file("""launch: [{executable: {cmd: "$(exec-in-pkg hello demo)", output: log}}]""")
    assert "quiet" not in workspace.launch().stdout
    (log,) = (workspace.folder / "log").rglob("launch.log")
    assert "[hello-1] quiet" in log.read_text()


def test_a_node_that_dies_is_named_with_its_exit_code(workspace):
    workspace.executable("node", "import sys; sys.exit(3)")
    workspace.executable("other", "")
    workspace.file(TWO_NODES)
    result = workspace.launch()
    assert result.returncode == 1
    assert "process has died" in result.stdout and "node-1 died with exit code 3" in result.stdout


def test_the_reason_of_a_death_stands_at_the_end_and_is_not_buried(workspace):
    # "node" is as far as a node that still imports: SIGINT would make it print where, SIGTERM ends it in silence.
    workspace.executable("node", "import time; time.sleep(60)")
    workspace.executable("other", """
    import sys, time
    time.sleep(0.5)
    sys.exit("other: error: no such patient")
    """)
    workspace.file("""
    launch:
    - node: {pkg: demo, exec: node, output: screen}
    - node: {pkg: demo, exec: other, output: screen, on_exit: shutdown}
    """)
    result = workspace.launch()
    assert result.stdout.splitlines()[-1].endswith("other-2 died with exit code 1: other: error: no such patient")
    assert "Traceback" not in result.stdout and result.returncode == 1


def test_a_node_that_catches_sigterm_and_any_other_program_are_asked_with_sigint(workspace):
    catching = """
    import os, signal, sys, time
    def told(number, _):
        os.write(1, f"told by {signal.Signals(number).name}\\n".encode())
        sys.exit(0)
    signal.signal(signal.SIGINT, told)
    """
    workspace.executable("node", catching + """
    signal.signal(signal.SIGTERM, told)
    time.sleep(60)
    """)
    workspace.executable("program", catching + "time.sleep(60)")
    workspace.executable("recorder", "import time; time.sleep(0.5)")
    workspace.file("""
    launch:
    - node: {pkg: demo, exec: node, output: screen}
    - executable: {cmd: "$(exec-in-pkg program demo)", output: screen}
    - node: {pkg: demo, exec: recorder, on_exit: shutdown}
    """)
    result = workspace.launch()
    assert {"[node-1] told by SIGINT", "[program-2] told by SIGINT"} <= set(result.stdout.splitlines())


def test_an_error_while_ending_is_shown_whole(workspace):
    workspace.executable("node", """
    import time
    try:
        time.sleep(60)
    finally:
        1 / 0
    """)
    workspace.executable("other", "import time; time.sleep(0.5)")
    workspace.file("""
    launch:
    - executable: {cmd: "$(exec-in-pkg node demo)", output: screen}
    - executable: {cmd: "$(exec-in-pkg other demo)", on_exit: shutdown}
    """)
    result = workspace.launch()
    assert "[node-1] Traceback" in result.stdout and "ZeroDivisionError" in result.stdout and result.returncode == 1


def test_a_node_that_crashes_is_named_with_its_signal(workspace):
    workspace.executable("node", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    workspace.executable("other", "")
    workspace.file(TWO_NODES)
    result = workspace.launch()
    assert result.returncode == 1 and "node-1 died with exit code -11" in result.stdout


@pytest.mark.parametrize("code", [0, 4])
def test_on_exit_shutdown_ends_the_others_and_the_status_tells_how_it_went(workspace, code):
    workspace.executable("node", NODE)
    # Waits for the other node, as a recorder does, so that the end is not a race with its start.
    workspace.executable("recorder", f"import sys, time; time.sleep(0.5); sys.exit({code})")
    workspace.file("""
    launch:
    - executable: {cmd: "$(exec-in-pkg node demo)", output: screen}
    - executable: {cmd: "$(exec-in-pkg recorder demo)", on_exit: shutdown}
    """)
    result = workspace.launch()
    assert "[node-1] stopping" in result.stdout
    assert result.returncode == (0 if code == 0 else 1)


def test_a_program_that_does_not_exist_ends_the_launch(workspace):
    workspace.executable("node", NODE)
    workspace.file("""
    launch:
    - executable: {cmd: "$(exec-in-pkg node demo)"}
    - executable: {cmd: /nowhere/at_all}
    """)
    result = workspace.launch()
    assert result.returncode == 1 and "at_all-2 could not be started: No such file" in result.stdout


def test_an_unknown_argument_starts_nothing(workspace):
    workspace.executable("node", f"open({str(workspace.folder / 'started')!r}, 'w')")
    workspace.file("""
    launch:
    - arg: {name: frames, default: "1"}
    - executable: {cmd: "$(exec-in-pkg node demo)"}
    """)
    result = workspace.launch("frame:=3")
    assert result.returncode == 2 and "unknown launch argument 'frame'" in result.stderr
    assert "known: frames" in result.stderr
    assert not (workspace.folder / "started").exists()


def test_a_timeout_that_is_no_time_is_told_in_one_line(workspace):
    workspace.file("""launch: [{arg: {name: sigterm_timeout, default: "1.0"}}, {executable: {cmd: "true"}}]""")
    result = workspace.launch("sigterm_timeout:=abc")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1 and "'sigterm_timeout' must be a number of seconds" in result.stderr


def test_show_args_lists_names_defaults_and_descriptions(workspace):
    workspace.file("""
    launch:
    - arg: {name: frames, default: "120", description: how many frames to record}
    - arg: {name: bag, description: what to replay}
    """)
    result = workspace.launch("--show-args")
    assert result.returncode == 0
    for text in ("'frames'", "how many frames to record", "default: '120'", "'bag'", "required"):
        assert text in result.stdout


@pytest.mark.parametrize("interrupts, number, status", [(1, signal.SIGINT, 130), (2, signal.SIGINT, 130),
                                                       (1, signal.SIGTERM, 143)])
def test_an_interrupt_ends_the_nodes_once_and_cleanly(workspace, interrupts, number, status):
    workspace.executable("node", NODE)
    workspace.executable("other", NODE)
    workspace.file(TWO_NODES)
    launch, pids = started(workspace, 2)
    for _ in range(interrupts):
        os.kill(launch.pid, number)
        time.sleep(0.05)
    output, _ = launch.communicate(timeout=5)
    assert launch.returncode == status
    assert output.count("stopping") == 2 and "has died" not in output
    assert not any(alive(pid) for pid in pids)


def test_within_five_seconds_of_ctrl_c_nothing_is_left_not_even_what_ignores_it(workspace):
    workspace.executable("node", STUBBORN_WITH_CHILD)
    workspace.executable("other", NODE)
    workspace.file(TWO_NODES)
    launch, pids = started(workspace, 4)
    begin = time.monotonic()
    os.killpg(launch.pid, signal.SIGINT)  # as a terminal does
    launch.communicate(timeout=10)
    assert time.monotonic() - begin < 5.0
    assert [pid for pid in pids if alive(pid)] == []


WITH_A_PATIENT = """
launch:
- arg: {name: patient, default: /home/me/jane_doe.nii.gz}
- node:
    pkg: demo
    exec: node
    output: screen
    param: [{name: patient, value: "$(var patient)"}, {name: labels, value: /home/me/jane_doe_labels.nii.gz}]
"""

# A node that takes its time, as one does that imports torch, before it reads the files it is given.
READER = """
import os, signal, sys, time
time.sleep(0.3)
for option, file in zip(sys.argv, sys.argv[1:]):
    if option == "--params-file":
        with open(file) as given, open("seen", "a") as seen:
            seen.write(given.read())
print("ready", os.getpid(), flush=True)
"""


def assert_the_node_saw_its_patient_and_nothing_tells_of_it(workspace):
    seen = (workspace.folder / "seen").read_text()
    assert "jane_doe.nii.gz" in seen and "jane_doe_labels.nii.gz" in seen
    left = {str(path): path.read_text() for path in (workspace.folder / "log").rglob("*") if path.is_file()}
    assert left and not any("jane_doe" in name + text for name, text in left.items())


@pytest.mark.parametrize("ending, status", [("", 0), ("sys.exit(3)", 1)])
def test_a_node_reads_its_parameters_and_no_file_keeps_them(workspace, ending, status):
    workspace.executable("node", READER + ending)
    workspace.file(WITH_A_PATIENT)
    assert workspace.launch().returncode == status
    assert_the_node_saw_its_patient_and_nothing_tells_of_it(workspace)


def test_no_file_keeps_the_parameters_of_a_launch_that_was_interrupted(workspace):
    workspace.executable("node", READER + "time.sleep(60)")
    workspace.file(WITH_A_PATIENT)
    launch, _ = started(workspace, 1)
    launch.send_signal(signal.SIGINT)
    launch.communicate(timeout=10)
    assert launch.returncode == 130
    assert_the_node_saw_its_patient_and_nothing_tells_of_it(workspace)


def test_no_file_keeps_the_parameters_of_a_node_that_could_not_be_started(workspace):
    workspace.executable("node", "").write_text("#!/nowhere/python\n")
    workspace.file(WITH_A_PATIENT)
    result = workspace.launch()
    assert result.returncode == 1 and "could not be started" in result.stdout
    assert not list((workspace.folder / "log").rglob("*.yaml"))


def test_a_child_that_outlives_its_node_is_ended_with_the_launch(workspace):
    workspace.executable("node", """
    import subprocess
    print("child", subprocess.Popen(["sleep", "60"], start_new_session=True).pid, flush=True)
    """)
    workspace.executable("other", "import time; time.sleep(0.3)")
    workspace.file(TWO_NODES)
    launch, pids = started(workspace, 1)
    launch.communicate(timeout=5)
    assert launch.returncode == 0 and not alive(pids[0])


def test_a_launch_that_is_killed_outright_takes_its_nodes_with_it(workspace):
    workspace.executable("node", NODE)
    workspace.executable("other", NODE)
    workspace.file(TWO_NODES)
    launch, pids = started(workspace, 2)
    launch.kill()
    launch.wait()
    deadline = time.monotonic() + 3
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in pids)
