"""Difficulties of clips with several foregrounds: how close together they are, and how much may be hidden.

Names, enlargements and limits are those of the synthetic videos of MaGGIe (Huynh et al., CVPR 2024). There, an overlap
or gap is at most half of a width, and clips that do not meet the limits are missing. Here, "hard" has larger overlaps,
so that most clips meet them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difficulty:
    """How foregrounds are arranged.

    enlargement: range of a factor; with 1, the foregrounds side by side are as wide as the frame.
    overlap: range of the overlap of two neighbours, as a part of the width of the second one; negative: a gap.
    is_spread: whether space that is left in the frame separates the foregrounds; if not, it is beside them.
    hidden: limits of the largest part of its alpha that a foreground loses in a frame to those in front of it: the loss
        is above the first and at most the second.
    """

    enlargement: tuple[float, float]
    overlap: tuple[float, float]
    is_spread: bool
    hidden: tuple[float, float]

    def miss(self, hidden: float) -> float:
        """Return how far a loss is from the limits; 0 if it meets them."""
        low, high = self.hidden
        return max(0.0, hidden - high) if hidden > low else max(low - hidden, 1e-9)


DIFFICULTIES = {
    "easy": Difficulty(enlargement=(1.0, 1.0), overlap=(0.0, 0.0), is_spread=True, hidden=(-1.0, 0.05)),
    "medium": Difficulty(enlargement=(1.0, 1.5), overlap=(-0.5, 0.5), is_spread=False, hidden=(0.05, 0.3)),
    "hard": Difficulty(enlargement=(1.0, 2.0), overlap=(0.3, 1.0), is_spread=False, hidden=(0.5, 0.85)),
}
