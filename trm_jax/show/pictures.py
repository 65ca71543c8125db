"""Pages of puzzles: boards in rows and columns, each as large as it needs to be."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from trm_jax.show import figures as draw
from trm_jax.show.boards import FONT, board, board_size
from trm_jax.show.panels import Exhibit, Kind, Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# inches
MOST_WIDTH = 11.0  # of a row of panels
BORDER, GAP, LINE = 0.15, 0.25, 0.16
CHARACTER = 0.075  # of a caption
TITLE_FONT = 10

Row = list[Panel | None]


class Placed(NamedTuple):
    """A panel, and where its board goes: inches from the top left corner."""

    panel: Panel
    left: float
    top: float
    width: float
    height: float


def figure(kind: Kind, exhibits: Sequence[Exhibit]) -> "Figure":
    """Draws exhibits below one another.

    ARC's pairs are columns: the input, the output below it, and below that what was predicted.
    Of other puzzles the question, the answer and the prediction are one row.

    Args:
        kind: of the puzzles.
        exhibits: at least one.

    Raises:
        UserError: matplotlib is not installed.
    """
    # all is placed from the page's top left corner first, and its size comes of that
    titles: list[tuple[str, float]] = []
    placed: list[Placed] = []
    down, right = BORDER, 0.0
    for exhibit in exhibits:
        titles.append((exhibit.title, down))
        right = max(right, BORDER + len(exhibit.title) * CHARACTER * TITLE_FONT / FONT)
        down += 1.5 * LINE
        for rows in _blocks(kind, exhibit):
            placed += _place(kind, rows, down)
            down = max(one.top + one.height for one in placed) + GAP
    right = max(right, *(one.left + max(one.width, _width(kind, one.panel)) for one in placed))
    return _draw(kind, titles, placed, (right + BORDER, down - GAP + BORDER))


def _draw(
    kind: Kind, titles: list[tuple[str, float]], placed: list[Placed], page: tuple[float, float]
) -> "Figure":
    """Draws titles, each so far below the top, and panels on a page of this width and height."""
    result = draw.empty_figure(page)
    for title, top in titles:
        place = BORDER / page[0], 1 - top / page[1]
        result.text(*place, title, va="top", fontsize=TITLE_FONT, weight="bold")
    for panel, left, top, width, height in placed:
        place = left / page[0], 1 - (top + height) / page[1]
        axes = result.add_axes((*place, width / page[0], height / page[1]))
        board(axes, kind, panel)
        ink = {None: draw.GIVEN, True: draw.RIGHT, False: draw.WRONG}[panel.right]
        axes.set_title("\n".join(panel.caption()), fontsize=FONT, pad=3, color=ink)
    return result


def _blocks(kind: Kind, exhibit: Exhibit) -> list[list[Row]]:
    """The rows of panels of an exhibit; ARC's in several blocks if they are too wide."""
    if kind is not None:
        return [[[*group] for group in exhibit.groups]]
    widths = [max(_width(kind, panel) for panel in group) + GAP for group in exhibit.groups]
    blocks: list[list[list[Panel]]] = [[]]
    used, tests = 0.0, exhibit.demonstrations
    for number, (group, width) in enumerate(zip(exhibit.groups, widths, strict=True)):
        # tests stay together if they can, with nothing in a column before them to set them apart
        needed = sum(widths[tests:]) + GAP if number == tests else width
        if blocks[-1] and used + needed > MOST_WIDTH:
            blocks.append([])
            used = 0.0
        elif blocks[-1] and number == tests:
            blocks[-1].append([])
            used += GAP
        blocks[-1].append(group)
        used += width
    return [_transposed(groups) for groups in blocks]


def _transposed(groups: list[list[Panel]]) -> list[Row]:
    height = max(map(len, groups))
    return [[group[i] if i < len(group) else None for group in groups] for i in range(height)]


def _place(kind: Kind, rows: list[Row], top: float) -> list[Placed]:
    """Puts panels in rows and columns as wide and high as the largest in each needs."""
    columns = [
        max((_width(kind, panel) for panel in column if panel), default=0.0)
        for column in zip(*rows, strict=True)
    ]
    placed = []
    for row in rows:
        left = BORDER
        top += LINE * max(len(panel.caption()) for panel in row if panel) + 0.05
        for panel, column in zip(row, columns, strict=True):
            if panel:
                width, height = board_size(kind, panel)
                placed.append(Placed(panel, left + (column - width) / 2, top, width, height))
            left += column + GAP
        top += max(board_size(kind, panel)[1] for panel in row if panel) + GAP / 2
    return placed


def _width(kind: Kind, panel: Panel) -> float:
    """Of the board and the caption above it, inches."""
    return max(board_size(kind, panel)[0], CHARACTER * max(map(len, panel.caption())))
