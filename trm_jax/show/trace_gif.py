"""A trace as an animated GIF, for places that show pictures only."""

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trm_jax.show import figures as draw
from trm_jax.show.boards import board
from trm_jax.show.panels import Panel
from trm_jax.show.trace_page import Trace
from trm_jax.tasks.arc.canvas import crop
from trm_jax.tasks.sudoku.sudoku import Sudoku

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEP_MS, LAST_MS = 900, 3000
COLOURS = 255
DOTS_PER_INCH = 100
CHANGED, CURVE, UNSURE = "#d6246e", "#0b62c4", (0.94, 0.63, 0.13)

# inches
WIDTH, MARGIN, TITLE, PLOT = 3.4, 0.2, 0.35, 0.8


def animation(trace: Trace) -> bytes:
    """Draws the question and the answer after every step, the last one to be seen longer.

    As on the page, cells that a step changed are outlined, and cells that the model is unsure of
    are shaded (Sudoku) or faded; below is the halting probability so far.

    Raises:
        UserError: matplotlib is not installed.
    """
    figures = [_figure(trace, step) for step in range(len(trace.path) + 1)]
    from PIL import Image  # matplotlib brings it

    drawn = []
    for figure in figures:
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=DOTS_PER_INCH)
        drawn.append(Image.open(file).convert("RGB"))
    # one palette for all: what does not change is then the same in every frame, and costs nothing
    width, height = drawn[0].size
    sheet = Image.new("RGB", (width, height * len(drawn)))
    for place, image in enumerate(drawn):
        sheet.paste(image, (0, height * place))
    palette = sheet.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE)
    frames = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in drawn]
    times = [STEP_MS] * (len(frames) - 1) + [LAST_MS]
    result = io.BytesIO()
    frames[0].save(
        result, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0, disposal=1
    )
    return result.getvalue()


def _figure(trace: Trace, step: int) -> "Figure":
    """One frame: a line of words, the board, the curve."""
    rows, columns = trace.question.shape
    inner = WIDTH - 2 * MARGIN
    cell = inner / max(rows, columns)
    height = MARGIN + TITLE + rows * cell + PLOT + 2 * MARGIN
    figure = draw.empty_figure((WIDTH, height))
    figure.text(MARGIN / WIDTH, 1 - MARGIN / height, _words(trace, step), va="top", fontsize=10)
    bottom = PLOT + 2 * MARGIN
    left = (WIDTH - columns * cell) / 2
    box = left / WIDTH, bottom / height, columns * cell / WIDTH, rows * cell / height
    _board(figure.add_axes(box), trace, step)
    left, width = MARGIN + 0.35, inner - 0.35
    plot = left / WIDTH, (MARGIN + 0.15) / height, width / WIDTH, (PLOT - 0.15) / height
    _curve(figure.add_axes(plot), trace, step)
    return figure


def _words(trace: Trace, step: int) -> str:
    if not step:
        return "question"
    mark = {None: "", True: "  ✓", False: "  ✗"}[trace.right[step - 1]]
    return f"step {step} of {len(trace.path)}, sure: {trace.halting[step - 1]:.1%}{mark}"


def _board(axes: "Axes", trace: Trace, step: int) -> None:
    tokens = trace.path[step - 1] if step else trace.question
    rows, columns = trace.question.shape
    if trace.kind is not None:
        board(axes, trace.kind, Panel("", tokens.reshape(-1), trace.question.reshape(-1)))
    elif trace.sizes is not None and trace.sizes[step].all():
        board(axes, None, Panel("", _grid(tokens, trace.sizes[step])))
    axes.set(xlim=(0, columns), ylim=(rows, 0), xticks=[], yticks=[])
    if step:
        _veil(axes, trace, tokens, trace.confidence[step - 1])
    if step > 1:
        from matplotlib.patches import Rectangle

        changed = np.argwhere(trace.path[step - 1] != trace.path[step - 2]).tolist()
        thin = min(1, 12 / max(rows, columns))
        for row, column in changed:
            for colour, width in (("white", 3.2), (CHANGED, 1.8)):
                place = column + 0.12, row + 0.12
                patch = Rectangle(
                    place, 0.76, 0.76, fill=False, ec=colour, lw=thin * width, zorder=5
                )
                axes.add_patch(patch)


def _grid(tokens: NDArray[np.uint8], size: NDArray[np.integer]) -> NDArray[np.uint8]:
    """The grid of a size in the corner of a board, which need not be square."""
    side = max(tokens.shape)
    canvas = np.zeros((side, side), np.uint8)
    canvas[: tokens.shape[0], : tokens.shape[1]] = tokens
    return crop(canvas.reshape(-1), *size.tolist())


def _veil(
    axes: "Axes", trace: Trace, tokens: NDArray[np.uint8], confidence: NDArray[np.floating]
) -> None:
    """Lays over each cell the more, the less sure it is."""
    rows, columns = confidence.shape
    veil = np.ones((rows, columns, 4))
    unsure = np.clip(1.3 * (1 - confidence.astype(np.float32)), 0, 0.85)
    veil[:, :, 3] = np.where(tokens > 0, unsure, 0)
    under = isinstance(trace.kind, Sudoku)
    if under:
        veil[:, :, :3] = UNSURE
    axes.imshow(veil, extent=(0, columns, rows, 0), zorder=0 if under else 3, aspect="equal")


def _curve(axes: "Axes", trace: Trace, step: int) -> None:
    """The halting probability of the steps so far."""
    count = len(trace.path)
    axes.plot(range(1, step + 1), trace.halting[:step], ".-", color=CURVE, clip_on=False)
    axes.set(xlim=(0.5, count + 0.5), ylim=(0, 1), yticks=[0, 0.5, 1])
    axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"], fontsize=7)
    every = -(-count // 10)
    axes.set_xticks(range(every, count + 1, every))
    axes.tick_params(axis="x", labelsize=7)
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
