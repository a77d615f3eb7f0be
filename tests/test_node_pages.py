"""docs/nodes says what the nodes are to others while they run, and other documents say the same."""

import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from node_interfaces import NODES, REPOSITORY, Call, Interface, NodeSource, Topic
from node_pages import FOLDER, INDEX, MeaningError, Meanings, differences, pages, write

PAGES = sorted(file for file in FOLDER.glob("*.md") if file.name != INDEX)

IMAGE = Topic("carm/image_raw", "sensor_msgs/msg/Image", "BEST_EFFORT", "TRANSIENT_LOCAL", "3")
CARM = Interface(
    source=NodeSource("synthex_sim.nodes.carm_node"), document="carm_node: takes ``runs/<time>``.\n\nMore.\n",
    parameters="| `bag` | folder runs/<time> |\n", lifecycle=True, publishes=(IMAGE,), takes=(),
    serves=(Call("carm/acquire", "synthex_msgs/srv/Acquire"),), calls=(), acts=(), orders=(),
)
SCREEN = replace(CARM, source=NodeSource("demo.nodes.screen_node"), document="screen_node: shows.", lifecycle=False,
                 publishes=(), takes=(IMAGE, replace(IMAGE, name="/tf")), serves=())
MEANINGS = Meanings({"carm/image_raw": "The radiograph."}, {"/tf /rosout": "poses and words"})


def ends(page, *headings):
    """Name -> other columns of what a page lists under these headings."""
    sections = re.split(r"^## ", page, flags=re.MULTILINE)
    rows = [row.split(" | ") for section in sections if section.partition("\n")[0] in headings
            for row in re.findall(r"^\| (`.*) \|$", section, re.MULTILINE)]
    return {row[0].strip("`"): row[1:] for row in rows}


# -- the pages that are there -----------------------------------------------------------------------------------------
def test_every_node_has_a_page():
    nodes = {".".join(file.with_suffix("").parts[-3:]) for file in (REPOSITORY / "src").glob("*/*/nodes/*_node.py")}
    assert {source.module for source in NODES} == nodes
    assert [page.stem for page in PAGES] == sorted(source.name for source in NODES)


def test_the_pages_are_those_that_the_running_nodes_give():
    pytest.importorskip("rclpy", reason="needs ROS 2")
    pytest.importorskip("synthex_msgs", reason="needs the built workspace")
    # A process of its own: the network sets torch's threads, and discovery is off for all that the process does later.
    done = subprocess.run([sys.executable, REPOSITORY / "tools" / "node_pages.py", "--check"], capture_output=True,
                          text=True, timeout=240, env={**os.environ, "OMP_WAIT_POLICY": "passive"})
    hint = "make them again: tools/run_in_workspace tools/node_pages.py"
    assert done.returncode == 0, f"{hint}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.md")), ids=lambda file: file.name)
def test_links_of_the_pages_lead_somewhere(file):
    links = re.findall(r"\]\(([^)#:]+)", file.read_text())
    assert links and [link for link in links if not (file.parent / link).exists()] == []


def test_no_reader_asks_for_more_than_the_publishers_offer():
    texts = [page.read_text() for page in PAGES]
    offered = [(name, end) for text in texts for name, end in ends(text, "Publishes").items()]
    asked = [(name, end) for text in texts for name, end in ends(text, "Takes").items()]
    pairs = [(name, offer, ask) for name, ask in asked for other, offer in offered if other == name]
    assert len(pairs) > len(NODES)
    for name, offer, ask in pairs:
        assert offer[0] == ask[0], f"{name} has two types"
        assert "best effort" not in offer[1] or "best effort" in ask[1], f"{name} is not reliable"
        assert offer[2] == "latched" or ask[2] == "volatile", f"{name} is not latched"


@pytest.mark.parametrize("node", ["carm_node", "cm_node", "perception_node", "navigation_node"])
def test_the_readme_names_the_topics_of_the_page(node):
    (row,) = re.findall(rf"^\| `{node}`.*\|$", (REPOSITORY / "README.md").read_text(), re.MULTILINE)
    published, taken = (names_in(cell) for cell in row.strip("| ").split(" | ")[1:])
    page = (FOLDER / f"{node}.md").read_text()
    assert published == set(ends(page, "Publishes"))
    assert taken == set(ends(page, "Takes", "Services", "Actions"))


def names_in(cell):
    """Topic names in backticks, `a/{b,c}` taken apart."""
    names = set()
    for name in re.findall("`([^`]*/[^`]*)`", cell):
        before, _, inside = name.partition("{")
        names |= {before + part for part in inside.rstrip("}").split(",")}
    return names


# -- how they are made ------------------------------------------------------------------------------------------------
def test_a_page_shows_type_and_quality_of_service_and_what_they_mean():
    page = pages([CARM], MEANINGS)["carm_node.md"]
    assert ends(page, "Publishes")["carm/image_raw"] == [
        "`sensor_msgs/msg/Image`", "best effort", "latched", "3", "The radiograph."]
    kind, meaning = ends(page, "Services")["carm/acquire"]
    assert "src/synthex_msgs/srv/Acquire.srv" in kind and meaning.startswith("One exposure, now. The image comes back")
    assert "## Takes" not in page and "Lifecycle" in page and "session.launch.yaml" in page


def test_the_index_shows_both_sides_of_a_topic():
    index = pages([CARM, SCREEN], MEANINGS)[INDEX]
    assert ends(index, "Topics")["carm/image_raw"][1:] == ["[carm_node](carm_node.md)", "[screen_node](screen_node.md)"]


def test_what_many_nodes_have_stands_in_the_index_alone():
    made = pages([CARM, replace(SCREEN, publishes=(replace(IMAGE, name="/tf"),))], MEANINGS)
    assert "/tf" not in made["screen_node.md"] and "- `/tf`, `/rosout`: poses and words (screen_node)\n" in made[INDEX]


def test_a_placeholder_in_angle_brackets_is_no_tag():
    page = pages([CARM], MEANINGS)["carm_node.md"]
    assert "| folder runs/\\<time> |" in page and "Takes `runs/<time>`." in page


@pytest.mark.parametrize(("topics", "said"), [
    ({"carm/sound": "A hum."}, r"nothing explains carm/image_raw \(sensor_msgs/msg/Image\); no node has carm/sound"),
    ({"carm/image_raw": "The radiograph.", "carm/sound": "A hum."}, "src/synthex_msgs: no node has carm/sound"),
])
def test_topics_and_sentences_must_match(topics, said):
    with pytest.raises(MeaningError, match=said):
        pages([CARM], Meanings(topics, {}))


def test_a_service_that_nothing_explains_is_refused():
    with pytest.raises(MeaningError, match="std_srvs/srv/Trigger"):
        pages([replace(CARM, serves=(Call("carm/reset", "std_srvs/srv/Trigger"),))], MEANINGS)


def test_writing_brings_a_folder_up_to_date_and_a_change_is_noticed(tmp_path):
    made = pages([CARM], MEANINGS)
    (tmp_path / "old_node.md").write_text("a node that is no more\n")
    assert "old_node.md as it is" in differences(made, tmp_path)
    write(made, tmp_path)
    assert differences(made, tmp_path) == "" and not (tmp_path / "old_node.md").exists()
    page = tmp_path / "carm_node.md"
    page.write_text(page.read_text().replace("best effort", "reliable"))
    assert "+| `carm/image_raw` | `sensor_msgs/msg/Image` | best effort" in differences(made, tmp_path)
