"""Print the lower bounds of pyproject.toml as pip constraints, one `name==version` per line.

Usage: python .ci/lower_bounds.py [EXTRA...] > constraints.txt; the extras are those that you install.
"""

import re
import sys
import tomllib
from pathlib import Path

REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[[\w,]+\])?>=(?P<version>[\w.]+)(,<[\w.]+)?")


def lower_bounds(extras: list[str]) -> list[str]:
    """Constraints of the package and of some of its extras; SystemExit if a requirement has no lower bound."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = project["dependencies"] + [
        line for extra in extras for line in project["optional-dependencies"][extra]
    ]
    found = []
    for requirement in requirements:
        match = REQUIREMENT.fullmatch(requirement)
        if match is None:
            raise SystemExit(f"pyproject.toml: {requirement!r} has no lower bound. Write it as NAME>=VERSION.")
        found.append(f"{match['name']}=={match['version']}")
    return found


if __name__ == "__main__":
    print("\n".join(lower_bounds(sys.argv[1:])))
