"""A trace as an animated GIF."""

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trm_jax.show import figures as draw
from trm_jax.show.boards import draw_board
from trm_jax.show.panels import Cells, Panel
from trm_jax.show.pencil import UNDECIDED, draw_guess, draw_marks
from trm_jax.show.trace_page import Trace, guesses
from trm_jax.tasks.board import Grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEP_MS, LAST_MS = 900, 3000
FIRST_ROUNDS, LAST_ROUNDS = 20, 40
"""Rounds of a lattice model's trace that are drawn; those between are left out."""

COLOURS = 255
DOTS_PER_INCH = 100
CHANGED, CURVE, UNCERTAIN = "#d6246e", "#0b62c4", (0.94, 0.63, 0.13)

# inches
WIDTH, MARGIN, TITLE, PLOT, EVENT = 3.4, 0.2, 0.35, 0.8, 0.28


def animation(trace: Trace) -> bytes:
    """Draws the question and the answer after every step; the last frame is shown longer.

    As on the page, cells that a step changed are outlined, and cells of low confidence are shaded
    (letters on paper) or faded (coloured cells). Below is the halting probability of the steps so
    far. For a lattice model, undecided cells show their remaining candidates, and the guessed cell
    is outlined.

    Args:
      trace: the trace.

    Returns:
      The GIF file's content.

    Raises:
      UserError: matplotlib is not installed.
    """
    figures = [_figure(trace, step) for step in _steps(trace)]
    from PIL import Image  # a dependency of matplotlib

    drawn = []
    for figure in figures:
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=DOTS_PER_INCH)
        drawn.append(Image.open(file).convert("RGB"))
    # one palette for all frames: unchanged areas are then identical and compress well
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


def _steps(trace: Trace) -> list[int]:
    """The steps that are drawn; 0 is the question."""
    count = len(trace.path)
    if trace.candidates is None or count <= FIRST_ROUNDS + LAST_ROUNDS:
        return list(range(count + 1))
    return [*range(FIRST_ROUNDS + 1), *range(count - LAST_ROUNDS + 1, count + 1)]


def _figure(trace: Trace, step: int) -> "Figure":
    """One frame: a caption, the board, how a round ended, and the curve."""
    rows, columns = trace.question.shape
    inner = WIDTH - 2 * MARGIN
    cell = inner / max(rows, columns)
    event = EVENT if trace.events else 0.0
    height = MARGIN + TITLE + rows * cell + event + PLOT + 2 * MARGIN
    figure = draw.empty_figure((WIDTH, height))
    figure.text(MARGIN / WIDTH, 1 - MARGIN / height, _words(trace, step), va="top", fontsize=10)
    bottom = PLOT + 2 * MARGIN + event
    if trace.events and step:
        place = MARGIN / WIDTH, (bottom - 0.08) / height
        figure.text(*place, trace.events[step - 1], va="top", fontsize=9)
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
    of, share = f"{step} of {len(trace.path)}", f"{trace.halting[step - 1]:.1%}"
    if trace.candidates is None:
        return f"step {of}, confidence: {share}{mark}"
    # a board with blanks is unfinished, not wrong
    finished = not (trace.path[step - 1] == UNDECIDED).any()
    return f"round {of}, no conflict: {share}{mark if finished else ''}"


def _board(axes: "Axes", trace: Trace, step: int) -> None:
    tokens = trace.path[step - 1] if step else trace.question
    rows, columns = tokens.shape
    if trace.sizes is None:
        # letters of givens are bold; changed coloured cells are outlined and not crossed out
        asked = np.where(_filled(trace, tokens), tokens, trace.question)
        draw_board(axes, trace.board, Panel("", tokens, asked))
    else:
        high, wide = trace.sizes[step]
        if high * wide:
            draw_board(axes, trace.board, Panel("", tokens[:high, :wide]))
    axes.set(xlim=(0, columns), ylim=(rows, 0), xticks=[], yticks=[])
    if trace.candidates is not None:
        _candidates(axes, trace, step, tokens)
    elif step:
        _veil(axes, trace, tokens, trace.confidence[step - 1])
        if step > 1:
            _outline(axes, trace.path[step - 1] != trace.path[step - 2])


def _candidates(axes: "Axes", trace: Trace, step: int, tokens: Grid) -> None:
    """Draws the candidates after a round, the cells decided in it, and the guess."""
    assert trace.candidates is not None
    inches = (WIDTH - 2 * MARGIN) / max(tokens.shape)
    open_cells = tokens == UNDECIDED
    if not step:  # no probabilities yet
        alike = np.full(trace.candidates.shape[1:], 1 / 3)
        draw_marks(axes, trace.board, tokens, alike, inches)
        return
    draw_marks(axes, trace.board, tokens, trace.candidates[step - 1], inches)
    before = trace.path[step - 2] if step > 1 else trace.question
    decided = (tokens != before) & ~open_cells
    guess = trace.marked[step - 1] if trace.marked else None
    if guess is not None:
        decided.flat[guess] = False
        draw_guess(axes, tokens.shape[1], guess)
    _outline(axes, decided)
    # only deduced cells are shaded by confidence: guesses and givens are not deduced
    deduced = ~open_cells & ~trace.board.given(trace.question)
    deduced.flat[guesses(trace, step)] = False
    _veil(axes, trace, tokens, np.where(deduced, trace.confidence[step - 1], 1))


def _filled(trace: Trace, tokens: Grid) -> Cells:
    """Cells that are coloured, not paper."""
    return np.asarray([bool(token.fill) for token in trace.board.tokens])[tokens]


def _outline(axes: "Axes", changed: Cells) -> None:
    """Outlines cells."""
    from matplotlib.patches import Rectangle

    thin = min(1, 12 / max(changed.shape))
    for row, column in np.argwhere(changed).tolist():
        for colour, width in (("white", 3.2), (CHANGED, 1.8)):
            place = column + 0.12, row + 0.12
            patch = Rectangle(place, 0.76, 0.76, fill=False, ec=colour, lw=thin * width, zorder=5)
            axes.add_patch(patch)


def _veil(axes: "Axes", trace: Trace, tokens: Grid, confidence: NDArray[np.floating]) -> None:
    """Fades coloured cells and shades cells of paper, more strongly the lower the confidence."""
    rows, columns = tokens.shape
    filled = _filled(trace, tokens)
    inside = np.ones_like(filled)
    if trace.sizes is not None:  # cells outside the grid have no confidence
        inside = tokens > 0
    opaque = np.clip(1.3 * (1 - confidence.astype(np.float32)), 0, 0.85) * inside
    for cells, colour, height in ((filled, (1, 1, 1), 2), (~filled, UNCERTAIN, 0)):
        veil = np.empty((rows, columns, 4))
        veil[:, :, :3] = colour
        veil[:, :, 3] = opaque * cells
        if cells.any():
            axes.imshow(veil, extent=(0, columns, rows, 0), zorder=height, aspect="equal")


def _curve(axes: "Axes", trace: Trace, step: int) -> None:
    """Plots the halting probability of the steps so far."""
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
