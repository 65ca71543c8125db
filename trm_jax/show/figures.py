"""Creates and saves matplotlib figures, and the colours that all of them share."""

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
"""Relative luminance from which letters are dark; their contrast is then at least 3."""


def empty_figure(
    size: tuple[float, float], layout: Literal["constrained"] | None = None
) -> "Figure":
    """A figure without axes.

    Args:
      size: width and height in inches.
      layout: layout engine of matplotlib.

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
    """A figure with a grid of axes.

    Args:
      rows: number of rows.
      columns: number of columns.
      size: width and height in inches.

    Returns:
      The figure, and its axes [rows, columns].

    Raises:
      UserError: matplotlib is not installed.
    """
    figure = empty_figure(size, "constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def legend(figure: "Figure", axes: "Axes", title: str) -> None:
    """Adds one legend, with the lines of `axes`, beside all axes of the figure."""
    figure.legend(
        handles=axes.get_lines(), loc="outside right upper", title=title, fontsize=8, handlelength=3
    )


def save(figure: "Figure", path: epath.PathLike) -> None:
    """Writes a figure as a PNG file.

    Raises:
      UserError: the file cannot be written.
    """
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    write_whole(epath.Path(path), drawn.getvalue())


def check_picture(flag: str, path: str | None) -> None:
    """Checks the file name of a picture before anything is computed.

    Args:
      flag: name of the command line's flag, for the error.
      path: value of the flag; None if no picture is wanted.

    Raises:
      UserError: the path does not end in .png.
    """
    if path is None:
        return
    name = epath.Path(path)
    if name.suffix.lower() != PICTURE:
        raise UserError(
            f"{flag} is {path!r}, but pictures are PNG files; give a name that ends in {PICTURE}."
        )


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of a colour #rrggbb."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def ink(fill: str) -> str:
    """The colour of letters, dark or light, that is legible on a cell of colour #rrggbb."""
    linear = [
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        for share in (part / 255 for part in rgb(fill))
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return LIGHT_INK if luminance < _BRIGHT else DARK_INK
