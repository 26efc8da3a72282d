"""Read a YAML file as nodes that know their lines. Each check raises SourceError with file, line and key."""

from pathlib import Path
from typing import NamedTuple, NoReturn

import yaml

from dvm_hf.errors import SourceError
from dvm_hf.sources.remote.source_files import present

MAX_BYTES = 2**20
PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "timestamp")}


class Item(NamedTuple):
    """A value, and the line of its key."""

    value: yaml.Node
    line: int


class YamlNodes:
    """The nodes of a sources file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def refuse(self, line: int, key: str, text: str) -> NoReturn:
        raise SourceError(f"{self.path}, line {line}: {key}: {text}")

    def document(self) -> yaml.Node:
        """Return the root of the file."""
        try:
            document = yaml.compose(self._text(), Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be parsed"
            self.refuse(mark.line + 1 if mark else 1, "syntax", f"is not valid YAML ({problem}); fix the line")
        except RecursionError:
            self.refuse(1, "syntax", "is nested too deeply; a sources file has four levels")
        if document is None:
            self.refuse(1, "train", "the file is empty; add train: with foregrounds: and backgrounds:")
        return document

    def mapping(self, node: yaml.Node, what: str, allowed: tuple[str, ...]) -> dict[str, Item]:
        """Return the items of a mapping with known keys, each of them once."""
        if not isinstance(node, yaml.MappingNode):
            self.refuse(line_of(node), what, f"must be a mapping of keys to values; allowed keys: {', '.join(allowed)}")
        found: dict[str, Item] = {}
        for key_node, value in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "a list or a mapping"
            if key not in allowed:
                self.refuse(line_of(key_node), key, f"is not a key of {what}; allowed: {', '.join(allowed)}")
            if key in found:
                self.refuse(line_of(key_node), key, f"is already on line {found[key].line}; write it once")
            found[key] = Item(value, line_of(key_node))
        return found

    def sequence(self, item: Item, what: str) -> list[yaml.Node]:
        if not isinstance(item.value, yaml.SequenceNode):
            self.refuse(item.line, what, "must be a list; write each entry as - {path: FOLDER}")
        return list(item.value.value)

    def scalar(self, item: Item, key: str) -> str:
        """Return a text, a number or another plain value as it is written."""
        node = item.value
        if not isinstance(node, yaml.ScalarNode) or node.tag not in PLAIN_TAGS or not node.value.strip():
            self.refuse(item.line, key, "must be a string or a number")
        return str(node.value)

    def _text(self) -> str:
        try:
            if self.path.exists() and not self.path.is_file():
                raise SourceError(f"{self.path}: the sources file is a pipe or a device; pass a file")
            with present([self.path]), self.path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            raise SourceError(f"{self.path}: no such sources file; `dvm init` writes one") from None
        except OSError as error:
            raise SourceError(f"{self.path}: the sources file cannot be read ({error.strerror}); fix that") from error
        if len(data) > MAX_BYTES:
            raise SourceError(
                f"{self.path}: the sources file has more than {MAX_BYTES:,} bytes, the maximum; shorten it"
            )
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            self.refuse(line, "syntax", "is not UTF-8; save the file as UTF-8")


def line_of(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
