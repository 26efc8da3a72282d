"""Text of HTML pages: escaped values, JSON for scripts, template files, and hashes for the security policy."""

import base64
import hashlib
import json
from html import escape
from importlib.resources import files
from typing import Any

SPACE = "\N{NO-BREAK SPACE}"  # between a number and its unit


def asset(package: str, name: str) -> str:
    """Return a text file of a package, such as a template."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


def base_style() -> str:
    """Return the style that all pages share: colours for light and dark mode, text, tables and plots."""
    return asset("dvm_hf.pages", "base.css")


def page_text(value: Any) -> str:
    """Escape a value for HTML text and attributes; bytes of a name that are not UTF-8 become question marks."""
    return escape(str(value).encode("utf-8", "replace").decode("utf-8"))


def heading(name: str) -> str:
    """Return an escaped name with optional line breaks after its underscores."""
    return page_text(name).replace("_", "_<wbr>")


def script_json(value: Any) -> str:
    """Return JSON that is safe in a script element: ASCII only, without characters that begin or end markup."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def csp_hash(text: str) -> str:
    """Return the hash by which a Content-Security-Policy allows a script or a style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
