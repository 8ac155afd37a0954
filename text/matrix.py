"""A confusion matrix as a picture: where its cells are, how dark they are, what they say."""

from collections.abc import Sequence
from dataclasses import dataclass

LEFT, TOP, WIDTH, HEIGHT = 70, 40, 130, 84


@dataclass(frozen=True)
class Cell:
    """One field of the picture; lengths are in its own units, `share` is that of the row, 0 to 1."""

    count: int
    share: float
    truth: str
    said: str
    x: int
    y: int

    @property
    def right(self) -> bool:
        """Whether the model was right in these cases."""
        return self.truth == self.said

    @property
    def level(self) -> int:
        """How strong the colour is, 0 to 5."""
        return min(5, round(self.share * 5)) if self.share >= 0.1 else int(self.count > 0)

    @property
    def percent(self) -> str:
        """The share in words."""
        return f"{100 * self.share:.1f} %"

    @property
    def middle(self) -> int:
        """Where its texts are centred."""
        return self.x + WIDTH // 2

    @property
    def upper(self) -> int:
        """Base line of its number."""
        return self.y + 40

    @property
    def lower(self) -> int:
        """Base line of its share."""
        return self.y + 62


class Matrix:
    """The picture of [[ham as ham, ham as spam], [spam as ham, spam as spam]]."""

    width = LEFT + 2 * WIDTH + 6
    height = TOP + 2 * HEIGHT + 6
    cell_width = WIDTH - 6
    cell_height = HEIGHT - 6

    def __init__(self, counts: Sequence[Sequence[int]]) -> None:
        self.cells = [
            Cell(count, count / (sum(row) or 1), truth, said, LEFT + WIDTH * column, TOP + HEIGHT * line)
            for line, (truth, row) in enumerate(zip(("ham", "spam"), counts, strict=True))
            for column, (said, count) in enumerate(zip(("ham", "spam"), row, strict=True))
        ]

    @property
    def text(self) -> str:
        """What the picture shows, for those who do not see it."""
        return " ".join(
            f"Of the {cell.truth} messages {cell.count:,} ({cell.percent}) are taken for {cell.said}."
            for cell in self.cells
        )
