"""One action of a YAML launch file, read attribute by attribute; what nobody asked for is an error."""


from .errors import LaunchError


class Entity:
    """The attributes of one action. `where` names the place in messages."""

    def __init__(self, attributes: object, kind: str, where: str) -> None:
        if not isinstance(attributes, (dict, list)):
            raise LaunchError(f"{where}: '{kind}' must hold attributes, not {attributes!r}")
        self.kind = kind
        self.where = f"{where}: {kind}"
        self._attributes = attributes if isinstance(attributes, dict) else {"children": attributes}
        self._place = where
        self._read: set[str] = set()

    def raw(self, name: str, *, optional: bool = False) -> object:
        """The attribute as YAML gave it (None when absent and optional)."""
        self._read.add(name)
        if name not in self._attributes:
            if optional:
                return None
            raise LaunchError(f"{self.where}: attribute '{name}' is missing")
        return self._attributes[name]

    def text(self, name: str, *, optional: bool = False) -> str | None:
        """A string attribute. The real front end does not coerce either: 3.0 has to be written "3.0"."""
        value = self.raw(name, optional=optional)
        if value is not None and not isinstance(value, str):
            raise LaunchError(f"{self.where}: attribute '{name}' must be a string, write it in quotes: \"{value}\"")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """A true/false attribute."""
        value = self.raw(name, optional=True)
        if value is not None and not isinstance(value, bool):
            raise LaunchError(f"{self.where}: attribute '{name}' must be true or false, not {value!r}")
        return default if value is None else value

    def entities(self, name: str, *, optional: bool = False) -> list["Entity"] | None:
        """A list of attribute maps, such as a node's `param`."""
        value = self.raw(name, optional=optional)
        if value is None:
            return None
        if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
            raise LaunchError(f"{self.where}: attribute '{name}' must be a list of maps")
        return [Entity(item, name, self.where) for item in value]

    def actions(self) -> list["Entity"]:
        """The actions inside (of `launch` itself, or of a group)."""
        children = self.raw("children")
        if not isinstance(children, list):
            raise LaunchError(f"{self.where}: a list of actions is expected")
        found = []
        for child in children:
            if not isinstance(child, dict) or len(child) != 1:
                raise LaunchError(f"{self.where}: each action is a map with one key, its kind; got {child!r}")
            (kind, attributes), = child.items()
            found.append(Entity(attributes, str(kind), self._place))
        return found

    def finish(self) -> None:
        """Raises LaunchError for attributes that nobody has read."""
        unknown = sorted(str(name) for name in set(self._attributes) - self._read)
        if unknown:
            raise LaunchError(f"{self.where}: unknown attribute {', '.join(unknown)} "
                              f"(known here: {', '.join(sorted(self._read - {'children'}))})")
