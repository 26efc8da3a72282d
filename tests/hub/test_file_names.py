"""Names that the Hub, Windows or macOS cannot hold; the rules are those of their documentation."""

import pytest

from dvm_hf.errors import SourceError
from dvm_hf.hub.file_names import require_portable

pytestmark = pytest.mark.one_lane


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("fg/a:b.png", "':', which Windows does not allow"),
        ("fg/a\\b.png", "which Windows does not allow"),
        ("fg/what?/0001.png", "'?', which Windows does not allow"),
        ("fg/a\tb.png", "which Windows does not allow"),
        ("bg/train /a.png", "'bg/train ': ends with a dot or a space"),
        ("bg/a.", "ends with a dot or a space"),
        ("bg/CON/a.png", "'bg/CON': is a device on Windows"),
        ("bg/lpt1.png", "is a device on Windows"),
        (".cache/bg/a.png", "is a folder that the Hub reserves"),
        ("bg/\udcff.png", "is not UTF-8"),
        (f"bg/{'ä' * 126}.png", "has more than 255 bytes"),
    ],
)
def test_a_name_that_not_every_system_holds_is_refused(path: str, rule: str) -> None:
    with pytest.raises(SourceError, match="so the name cannot be pushed; rename it") as caught:
        require_portable(["fg/good.png", path])
    assert rule in str(caught.value)


@pytest.mark.parametrize("paths", [("fg/Cat.png", "fg/cat.png"), ("Fg/cat.png", "fg/dog.png")])
def test_names_that_differ_only_in_case_are_refused(paths: tuple[str, str]) -> None:
    with pytest.raises(SourceError, match="only in upper and lower case"):
        require_portable(paths)


def test_usual_names_are_accepted() -> None:
    paths = ("fg/a b (1).png", "fg/ä.png", "fg/a b (1).jpg", "confirm/com10.png", "a.b/.c", "fg/dog+cat'[1].png")
    require_portable(paths)
