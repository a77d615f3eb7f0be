#!/usr/bin/env python3
"""Writes docs/nodes/, a page for each node and an index, from what the nodes say of themselves while they run.

    tools/run_in_workspace tools/node_pages.py            write the pages
    tools/run_in_workspace tools/node_pages.py --check    only say whether they are the ones that would be written

Topics, types and quality of service are read from the running nodes, parameters from their tables, summaries from their
docstrings; what a topic means stands in docs/nodes/meanings.yaml. A new node is one line in node_interfaces.py.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml
from node_interfaces import REPOSITORY, Call, Interface, Topic, read_interfaces

FOLDER = REPOSITORY / "docs" / "nodes"
INDEX = "README.md"
_MESSAGES = REPOSITORY / "src" / "synthex_msgs"
_FOOT = "Made by `tools/run_in_workspace tools/node_pages.py`. Research and simulation only, not a medical device."
_INDEX_HEAD = """# Nodes

What each node of the workspace publishes, takes and serves, and its parameters. Names are relative: `namespace:=` puts
a whole session into a namespace; a name with a leading `/` is the same everywhere, `~` stands for the node's own name.
"""
_INDEX_QOS = """## Quality of service

*Reliable*: what is lost on the way is sent again; a reader may ask for less (best effort). *Latched* (transient
local): a reader that comes later still gets the last message, if it asks for transient local itself. *Volatile*: it
gets what is published from then on. *Depth*: how many messages are kept for a reader that is slow; older ones make
room.
"""
_INDEX_PARAMETERS = """## Parameters

Launch files take them from a YAML file ([config/session/default.yaml](../../config/session/default.yaml) is the
session's, `config:=` names another) and from launch arguments (`ros2 launch synthex_bringup session.launch.yaml
--show-args`), which override it. A name that is not in the table, or a value out of its bounds, ends the node with one
line that says so. What is *changeable* can be set while the node runs (`ros2 param set`).
"""
_INDEX_COMMON = """## What nodes have in common

The pages leave these out.
"""


class MeaningError(LookupError):
    """A topic without its sentence, or a sentence without its topic."""


class Meanings:
    """One sentence for each topic, service and action.

    Args:
        topics: sentence of each topic by name.
        common: names that are on no page -> what they are, a group of names separated by spaces at a time.
    """

    def __init__(self, topics: Mapping[str, str], common: Mapping[str, str]) -> None:
        self._topics, self.common = topics, common

    def own(self, ends: Iterable) -> list:
        """Those of some topics, services or actions that belong on a node's page."""
        common = {name for names in self.common for name in names.split()}
        return [end for end in ends if end.name not in common]

    @classmethod
    def from_file(cls, file: Path = FOLDER / "meanings.yaml") -> Meanings:
        """Those of docs/nodes/meanings.yaml."""
        return cls(**yaml.safe_load(file.read_text(encoding="utf-8")))

    def of(self, end: Topic | Call) -> str:
        """The sentence of a topic, the comment at the head of a service's or action's file; empty if there is none."""
        if isinstance(end, Topic):
            return self._topics.get(end.name, "")
        file = _definition(end.type)
        return _head_comment(file) if file else ""

    def check(self, interfaces: Iterable[Interface]) -> None:
        """Refuses topics, services and actions that nothing explains, and sentences about topics that no node has.

        Raises:
            MeaningError: there are such; it names all of them.
        """
        ends = [end for one in interfaces for end in self.own(one.ends)]
        silent = {f"{end.name} ({end.type})": None for end in ends if not self.of(end)}
        left = [name for name in self._topics if name not in {end.name for end in ends}]
        wrong = [f"nothing explains {', '.join(silent)}"] if silent else []
        wrong += [f"no node has {', '.join(left)}"] if left else []
        if wrong:
            raise MeaningError(f"docs/nodes/meanings.yaml or src/synthex_msgs: {'; '.join(wrong)}")


def pages(interfaces: Sequence[Interface], meanings: Meanings) -> dict[str, str]:
    """File name -> text of every page and of the index.

    Raises:
        MeaningError: topics and sentences do not match.
    """
    meanings.check(interfaces)
    return {INDEX: _index(interfaces, meanings),
            **{f"{one.source.name}.md": _page(one, meanings) for one in interfaces}}


def differences(made: Mapping[str, str], folder: Path = FOLDER) -> str:
    """What would change in a folder of pages, as a unified diff; empty if nothing would."""
    present = {file.name: file.read_text(encoding="utf-8") for file in folder.glob("*.md")}
    lines = [line for name in sorted({*made, *present})
             for line in difflib.unified_diff(present.get(name, "").splitlines(), made.get(name, "").splitlines(),
                                              f"{name} as it is", f"{name} as it would be", lineterm="", n=1)]
    return "\n".join(lines)


def write(made: Mapping[str, str], folder: Path = FOLDER) -> None:
    """Writes the pages and removes those of nodes that are no more."""
    for file in folder.glob("*.md"):
        if file.name not in made:
            file.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")


# -- one page ---------------------------------------------------------------------------------------------------------
def _page(one: Interface, meanings: Meanings) -> str:
    name, package = one.source.name, one.source.package
    start = f"`ros2 run {package} {name}`"
    if launches := _launch_files(name):
        start += f"; started by {_words(f'[{file}](../../launch/{file})' for file in launches)}"
    lifecycle = "Lifecycle node; [the index](README.md#what-nodes-have-in-common) names its services.\n"
    parts = [f"# {name}\n", _description(one), f"{start}.\n", lifecycle if one.lifecycle else ""]
    for title, topics in (("Publishes", one.publishes), ("Takes", one.takes)):
        if rows := meanings.own(topics):
            parts += [f"## {title}\n", _topic_table(rows, meanings)]
    if one.source.remark:
        parts.append(f"{one.source.remark}\n")
    for title, what, calls in (("Services", "service", one.serves), ("Services it calls", "service", one.calls),
                               ("Actions", "action", one.acts), ("Actions it asks for", "action", one.orders)):
        if rows := meanings.own(calls):
            parts += [f"## {title}\n", _call_table(what, rows, meanings)]
    parts += ["## Parameters\n", _prose(one.parameters), f"*{_FOOT}*\n"]
    return "\n".join(part for part in parts if part)


def _description(one: Interface) -> str:
    """The docstring of the node's module, which begins with the node's name and a colon."""
    text = one.document.strip().removeprefix(f"{one.source.name}: ").replace("``", "`")
    return _prose(f"{text[0].upper()}{text[1:]}\n")


def _summary(one: Interface) -> str:
    """The docstring's first paragraph in one line."""
    return " ".join(_description(one).split("\n\n")[0].split())


def _topic_table(topics: Iterable[Topic], meanings: Meanings) -> str:
    rows = [(f"`{one.name}`", _type_link(one.type), _reliability(one), _durability(one), one.depth, meanings.of(one))
            for one in topics]
    return _table(("topic", "type", "reliability", "durability", "depth", "meaning"), rows)


def _call_table(what: str, calls: Iterable[Call], meanings: Meanings) -> str:
    return _table((what, "type", "meaning"), [(f"`{c.name}`", _type_link(c.type), meanings.of(c)) for c in calls])


def _reliability(topic: Topic) -> str:
    return topic.reliability.lower().replace("_", " ")


def _durability(topic: Topic) -> str:
    return {"TRANSIENT_LOCAL": "latched", "VOLATILE": "volatile"}.get(topic.durability, topic.durability.lower())


# -- the index --------------------------------------------------------------------------------------------------------
def _index(interfaces: Sequence[Interface], meanings: Meanings) -> str:
    nodes = [(f"[{one.source.name}]({one.source.name}.md)", _summary(one)) for one in interfaces]
    common = "\n".join(_common(names.split(), text, interfaces) for names, text in meanings.common.items())
    parts = [_INDEX_HEAD, _table(("node", "what it does"), nodes),
             "## Topics\n", _wiring("topic", interfaces, ("publishes", "takes"), ("from", "to"), meanings),
             "## Services and actions\n", _wiring("name", interfaces, ("serves", "acts"), ("of", "of"), meanings),
             _INDEX_QOS, _INDEX_PARAMETERS, _INDEX_COMMON, f"{common}\n", f"*{_FOOT}*\n"]
    return "\n".join(parts)


def _wiring(what: str, interfaces: Sequence[Interface], sides: tuple[str, str], titles: tuple[str, str],
            meanings: Meanings) -> str:
    """Every name with its type and the nodes on either side of it; one column where both have the same title."""
    columns = tuple(dict.fromkeys(titles))
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for one in interfaces:
        for side, title in zip(sides, titles, strict=True):
            for end in meanings.own(getattr(one, side)):
                ends = found.setdefault((end.name, end.type), {column: [] for column in columns})
                ends[title].append(f"[{one.source.name}]({one.source.name}.md)")
    rows = [(f"`{name}`", _type_link(kind), *(", ".join(ends[column]) for column in columns))
            for (name, kind), ends in sorted(found.items())]
    return _table((what, "type", *columns), rows)


def _common(names: Sequence[str], text: str, interfaces: Sequence[Interface]) -> str:
    """What many nodes have, and which, where it is not all of them."""
    holders = [one.source.name for one in interfaces
               if {end.name for end in (*one.publishes, *one.serves)} & set(names)]
    which = f" ({_words(holders)})" if 0 < len(holders) < len(interfaces) else ""
    return f"- {', '.join(f'`{name}`' for name in names)}: {text}{which}"


# -- words ------------------------------------------------------------------------------------------------------------
def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, one line for each row."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _words(items: Iterable[str]) -> str:
    *before, last = items
    return f"{', '.join(before)} and {last}" if before else last


def _prose(text: str) -> str:
    """Text whose ``<`` Markdown does not take for the beginning of a tag; what stands in backticks stays."""
    pieces = text.split("`")
    return "`".join(piece if i % 2 else piece.replace("<", "\\<") for i, piece in enumerate(pieces))


def _definition(kind: str) -> Path | None:
    """The file that defines a type of this workspace; None for others' types."""
    package, folder, name = kind.split("/")
    file = _MESSAGES / folder / f"{name}.{folder}"
    return file if package == _MESSAGES.name and file.is_file() else None


def _type_link(kind: str) -> str:
    file = _definition(kind)
    return f"`{kind}`" if file is None else f"[`{kind}`](../../{file.relative_to(REPOSITORY).as_posix()})"


def _head_comment(file: Path) -> str:
    """The comment with which an interface file begins, in one line."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines)


def _launch_files(node: str) -> list[str]:
    """Names of the launch files that start a node."""
    found = []
    for file in sorted((REPOSITORY / "launch").glob("*.launch.yaml")):
        entities = yaml.safe_load(file.read_text(encoding="utf-8"))["launch"]
        if any(entity.get("node", {}).get("exec") == node for entity in entities):
            found.append(file.name)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 the pages differ (--check) or a topic is unexplained."""
    parser = argparse.ArgumentParser(prog="node_pages", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; show what would change")
    check = parser.parse_args(arguments).check
    try:
        made = pages(read_interfaces(), Meanings.from_file())
    except MeaningError as error:
        print(f"node_pages: error: {error}", file=sys.stderr)
        return 1
    changes = differences(made)
    if check:
        print(changes or "docs/nodes is up to date")
        return 1 if changes else 0
    write(made)
    print(f"wrote {len(made)} pages to {FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
