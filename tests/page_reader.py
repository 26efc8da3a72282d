"""Read a preview page back with Python's HTML parser and Pillow."""

import base64
import io
import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import numpy as np
from PIL import Image

VOID = {"meta", "input", "img", "wbr", "br", "link", "hr"}  # elements that have no end tag


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    text: str = ""
    inside: "list[Element]" = field(default_factory=list)


class PageReader(HTMLParser):
    """All elements of a page in order; refuses tags that are not closed correctly."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {[element.tag for element in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.elements.append(element)
        for parent in self._open:
            parent.inside.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Return the elements of a tag with these attributes (`class_`: one of its classes)."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [element for element in self.elements if element.tag == tag and _fits(element, wanted)]

    def one(self, tag: str, **attributes: str) -> Element:
        (element,) = self.all(tag, **attributes)
        return element

    @property
    def data(self) -> dict[str, Any]:
        """The data that the page's script reads."""
        return json.loads(self.one("script", id="data").text)

    def layer(self, clip: int, name: str, index: int) -> np.ndarray:
        """Return the pixels (H, W, 3) of an embedded frame, decoded by Pillow."""
        return decoded(self.data["clips"][clip]["layers"][name][index])


def _fits(element: Element, wanted: dict[str, str]) -> bool:
    for name, value in wanted.items():
        given = element.attributes.get(name) or ""
        if value not in (given.split() if name == "class" else [given]):
            return False
    return True


def decoded(uri: str) -> np.ndarray:
    """RGB pixels of a data URI."""
    assert uri.startswith("data:image/")
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1], validate=True))) as image:
        return np.asarray(image.convert("RGB"))
