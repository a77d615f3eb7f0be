#!/usr/bin/env python3
"""Writes docs/parameters.md, every node's parameters, from the tables by which the nodes declare them.

    tools/run_in_workspace tools/parameter_document.py
"""

import importlib
from pathlib import Path

#: Where each node's table is: module and name in it.
TABLES = (
    ("synthex_sim.nodes.carm_node", "TABLE"),
    ("cm_kinematics.nodes.cm_node", "TABLE"),
    ("synthex_perception.nodes.perception_node", "TABLE"),
    ("synthex_perception.nodes.navigation_node", "TABLE"),
    ("synthex_bringup.nodes.recorder_node", "PARAMETERS"),
    ("synthex_bringup.nodes.replay_node", "PARAMETERS"),
)
FILE = Path(__file__).resolve().parents[1] / "docs" / "parameters.md"
_HEAD = """# Parameters of the nodes

Made by `tools/run_in_workspace tools/parameter_document.py` from the tables in the nodes' sources.

Launch files take them from a YAML file (`config/session/default.yaml` is the session's, `config:=` names another) and
from launch arguments (`ros2 launch synthex_bringup session.launch.yaml --show-args`), which override it. A name that is
not in the table, or a value out of its bounds, ends the node with one line that says so. What is *changeable* can be set
while the node runs (`ros2 param set`).
"""


def document() -> str:
    """The text of docs/parameters.md."""
    # Here, so that what stands above can be read where there is no ROS.
    from cm_kinematics.nodes.parameters import markdown

    sections = [_HEAD]
    for name, table in TABLES:
        module = importlib.import_module(name)
        node, _, summary = module.__doc__.partition("\n")[0].partition(": ")
        sections.append(f"## {node}\n\n{summary[0].upper()}{summary[1:]}\n\n{markdown(getattr(module, table))}")
    return "\n".join(sections)


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
    print(f"wrote {FILE}")
