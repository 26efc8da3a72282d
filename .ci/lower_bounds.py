"""Print the lower bounds of pyproject.toml as pip constraints, one `name==version` per line.

Usage: python .ci/lower_bounds.py [--extras-only] [EXTRA...] > constraints.txt; the extras are those that you install.
With --extras-only, pip selects the versions of what the package itself requires.
"""

import re
import sys
import tomllib
from pathlib import Path

REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[[\w,]+\])?>=(?P<version>[\w.]+)(,<[\w.]+)?")


def lower_bounds(extras: list[str], *, is_complete: bool) -> list[str]:
    """Constraints of some extras, and of the package if complete; SystemExit if a requirement has no lower bound."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [*project["dependencies"]] if is_complete else []
    requirements += [line for extra in extras for line in project["optional-dependencies"][extra]]
    found = []
    for requirement in requirements:
        match = REQUIREMENT.fullmatch(requirement)
        if match is None:
            raise SystemExit(f"pyproject.toml: {requirement!r} has no lower bound. Write it as NAME>=VERSION.")
        found.append(f"{match['name']}=={match['version']}")
    return found


if __name__ == "__main__":
    extras = [argument for argument in sys.argv[1:] if argument != "--extras-only"]
    print("\n".join(lower_bounds(extras, is_complete="--extras-only" not in sys.argv)))
