"""Tables of the released models, for the terminal and for docs/how-to/models.md."""

from collections.abc import Mapping, Sequence
from typing import Any

from trm_jax.released.cards import Card, cards
from trm_jax.released.measured import EXACT, SEARCHED

HEAD = ("name", "puzzles", "parameters", "on disk", "without search", "with search")
NONE = "None yet."


def rows(known: Sequence[Card]) -> list[tuple[str, ...]]:
    """The rows of the table, with the columns of `HEAD`."""
    return [
        (
            card.name,
            card.record["title"],
            f"{card.record['parameters']:,}",
            f"{(card.record['bytes'] + card.path.stat().st_size) / 1e6:.2f} MB",
            _share(card.measurement(EXACT)),
            _share(card.measurement(SEARCHED)),
        )
        for card in known
    ]


def plain(known: Sequence[Card]) -> str:
    """The table as plain text."""
    if not known:
        return NONE
    lines = [HEAD, *rows(known)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    padded = (
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines
    )
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def markdown(known: Sequence[Card]) -> str:
    """The table in Markdown, for docs/how-to/models.md."""
    if not known:
        return NONE
    lines = [HEAD, ("---",) * len(HEAD), *rows(known)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _share(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "not measured"
    split = f" {entry['split']}" if "split" in entry else ""
    wrong = f", {entry['wrong']:.2%} wrong" if "wrong" in entry else ""
    return f"{entry['value']:.2%} of {entry['puzzles']:,}{split}{wrong}"


if __name__ == "__main__":
    print(markdown(cards()))
