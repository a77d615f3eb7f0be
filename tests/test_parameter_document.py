"""docs/parameters.md says what the nodes declare."""

import re

import pytest
from parameter_document import FILE, TABLES, document

REPOSITORY = FILE.parents[1]


def test_every_node_is_in_the_document():
    nodes = {".".join(file.with_suffix("").parts[-3:]) for file in (REPOSITORY / "src").glob("*/*/nodes/*_node.py")}
    assert {module for module, _ in TABLES} == nodes
    assert [module.rpartition(".")[2] for module, _ in TABLES] == re.findall("^## (.*)", FILE.read_text(), re.MULTILINE)


def test_the_document_is_the_one_that_the_tables_give():
    pytest.importorskip("rclpy", reason="needs ROS 2")
    pytest.importorskip("synthex_msgs", reason="needs the built workspace")
    assert FILE.read_text() == document(), "make it again: tools/run_in_workspace tools/parameter_document.py"
