"""The options that both constructors of `ClipStream` accept."""

import dataclasses
import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from dvm_hf.dataset.field_rules import require_integers
from dvm_hf.errors import ConfigError
from dvm_hf.training.sample_assignment import EvenRanks

AnySample: TypeAlias = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """Options of a `dvm_hf.torch.ClipStream`, which describes each. Raises ConfigError for a value not allowed."""

    context: int = 0
    samples_per_clip: int = 1
    background_reuse: int = 1
    shuffle: bool | None = None
    epochs: int | None = 1
    batch_size: int | None = None
    drop_last: bool = False
    rank: int | None = None
    world_size: int | None = None
    even_ranks: EvenRanks | Literal["auto"] = "auto"
    transform: Callable[[AnySample], AnySample] | None = None

    def __post_init__(self) -> None:
        require_integers(
            context=(self.context, 0),
            samples_per_clip=(self.samples_per_clip, 1),
            background_reuse=(self.background_reuse, 1),
        )
        counts = {"batch_size": self.batch_size, "epochs": self.epochs}
        require_integers(**{name: (count, 1) for name, count in counts.items() if count is not None})
        for name, flag in {"shuffle": self.shuffle, "drop_last": self.drop_last}.items():
            if not isinstance(flag, bool) and not (name == "shuffle" and flag is None):
                raise ConfigError(f"{name}={flag!r}: not allowed; {name} must be True or False")
        if self.even_ranks not in ("auto", "drop", "pad", None):
            raise ConfigError(f"even_ranks={self.even_ranks!r}: not allowed; even_ranks must be 'drop', 'pad' or None")
        if self.transform is not None and not callable(self.transform):
            raise ConfigError(f"transform={self.transform!r}: not callable; pass a function of a sample, or None")

    def rank_policy(self, *, shuffles: bool) -> EvenRanks:
        """Return even_ranks, with its default: "drop" if the stream shuffles, else None."""
        return ("drop" if shuffles else None) if self.even_ranks == "auto" else self.even_ranks


def stream_options(given: dict[str, Any]) -> StreamOptions:
    """Return the options given by name. Raises ConfigError for an unknown name."""
    names = [field.name for field in dataclasses.fields(StreamOptions)]
    for name in given.keys() - {*names}:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the options are {', '.join(names)}"
        raise ConfigError(f"{name}={given[name]!r}: there is no option {name!r}; {hint}")
    return StreamOptions(**given)
