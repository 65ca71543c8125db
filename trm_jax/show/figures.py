"""Figures as such: how one is made, saved and labelled, and the colours that all have in common."""

import importlib.util
import io
from typing import TYPE_CHECKING, Any, Literal

from etils import epath

from trm_jax.core.errors import UserError
from trm_jax.core.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GIVEN, RIGHT, WRONG, GREY = "#222222", "#0a7d33", "#c62828", "#888888"
DARK_INK, LIGHT_INK = "#1d1f24", "#ffffff"
PICTURE = ".png"
_BRIGHT = 0.3
"""Relative luminance from which on ink is dark: either ink then has a contrast of 3 at least."""


def empty_figure(
    size: tuple[float, float], layout: Literal["constrained"] | None = None
) -> "Figure":
    """A figure without axes, its width and height in inches.

    Raises:
      UserError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("Pictures need matplotlib; run `pip install 'trm-jax[plot]'`.") from error
    figure = Figure(figsize=size, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def new_figure(rows: int, columns: int, size: tuple[float, float]) -> tuple["Figure", Any]:
    """An empty figure and its axes [rows, columns].

    Raises:
      UserError: matplotlib is not installed.
    """
    figure = empty_figure(size, "constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def legend(figure: "Figure", axes: "Axes", title: str) -> None:
    """The labels of `axes`, once, beside all axes of the figure."""
    figure.legend(
        handles=axes.get_lines(), loc="outside right upper", title=title, fontsize=8, handlelength=3
    )


def save(figure: "Figure", path: epath.PathLike) -> None:
    """Writes a PNG.

    Raises:
      UserError: it cannot be written.
    """
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    write_whole(epath.Path(path), drawn.getvalue())


def check_picture(flag: str, path: str | None) -> None:
    """Refuses, before anything is drawn, a name that `save` should not write to.

    Args:
      flag: of the command line, for the message.
      path: its value; None where nothing is to be drawn.

    Raises:
      UserError: it does not end in .png.
    """
    if path is None:
        return
    name = epath.Path(path)
    if name.suffix.lower() != PICTURE:
        raise UserError(
            f"{flag} is {path!r} and pictures are PNG files; give a name that ends in {PICTURE}."
        )


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of #rrggbb, 0 to 255."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def ink(fill: str) -> str:
    """The colour of letters that can be read on a cell of colour #rrggbb."""
    linear = [
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        for share in (part / 255 for part in rgb(fill))
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return LIGHT_INK if luminance < _BRIGHT else DARK_INK
