"""A tiny installed workspace in a temporary folder, to launch from without ROS."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


class LaunchWorkspace:
    """One package `demo` whose executables are Python scripts written by the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prefix = folder / "install"
        marker = self.prefix / "share/ament_index/resource_index/packages/demo"
        marker.parent.mkdir(parents=True)
        marker.touch()
        self.share = self.prefix / "share/demo"
        self.share.mkdir()
        self.environment = {**os.environ, "AMENT_PREFIX_PATH": str(self.prefix), "ROS_LOG_DIR": str(folder / "log"),
                            "PYTHONUNBUFFERED": "1"}

    def executable(self, name: str, body: str) -> Path:
        """Installs a Python script as `ros2 run demo <name>` would find it."""
        path = self.prefix / "lib/demo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # -I and the base interpreter: nothing but the standard library, and no start-up hook of a virtual environment.
        path.write_text(f"#!{sys.base_prefix}/bin/python3 -I\n" + textwrap.dedent(body))
        path.chmod(0o755)
        return path

    def file(self, text: str, name: str = "demo.launch.yaml") -> Path:
        """Installs a launch or parameter file in the share folder."""
        path = self.share / name
        path.write_text(textwrap.dedent(text))
        return path

    def command(self, *words: str) -> list[str]:
        """The command line that launches `words`."""
        return [sys.executable, str(REPOSITORY / "tools/launch"), *words]

    def launch(self, *arguments: str, file: str = "demo.launch.yaml") -> subprocess.CompletedProcess:
        """Launches and waits for the end."""
        return subprocess.run(self.command("demo", file, *arguments), env=self.environment, cwd=self.folder,
                              capture_output=True, text=True, timeout=30)
