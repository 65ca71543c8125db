"""The task of pairs of grids from files."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.settings import Settings, setting
from trm_jax.core.symmetries import GridSymmetry
from trm_jax.data.format import Dataset
from trm_jax.data.views import Augment, Grids, View
from trm_jax.tasks.board import Board, Grid
from trm_jax.tasks.given import Given
from trm_jax.tasks.grid import build, grid_text
from trm_jax.tasks.grid.cells import SPLITS, Style, rows_of
from trm_jax.tasks.grid.likeness import Likeness
from trm_jax.tasks.grid.looks import LOOKS, board_of
from trm_jax.tasks.grid.vocabulary import FORM_KEYS, Form
from trm_jax.tasks.task import Request, Shape, Task, Tokens

MAX_SIDE = 10_000

Symbols = NDArray[np.str_]
"""The symbols of a grid, texts [rows, columns]."""


@dataclasses.dataclass(frozen=True)
class FormSettings(Settings):
    """Form and look of the grids of a dataset; what is not set is inferred from the file."""

    rows: int = setting(
        0, "Number of rows of a grid (1 for sequences); 0 to infer it.", low=0, high=MAX_SIDE
    )
    columns: int = setting(0, "Number of columns of a grid; 0 to infer it.", low=0, high=MAX_SIDE)
    turns: bool = setting(
        False, "Whether rotated and mirrored puzzles, with their answers, are valid puzzles too."
    )
    alike: str = setting(
        "",
        "Symbols that may be exchanged in a whole puzzle, as in '123' or '1 2 10'; 'all' for all "
        "except the blank.",
    )
    looks: str = setting(
        "auto",
        "How grids are drawn: letters on paper, coloured cells, or letters for at most 40 symbols.",
        choices=LOOKS,
    )


@dataclasses.dataclass(frozen=True)
class GridSettings(FormSettings):
    """Settings of pairs of grids in files."""

    GROUP: ClassVar[str] = "config.data.grid"

    symbols: str = setting(
        "", "All symbols, as in '.01' or '. 1 10'; empty to take those of the file."
    )
    blank: str = setting(
        "", "The only symbol of a question that answers change; empty to infer it."
    )
    canvas: bool = setting(
        False,
        "Whether grids differ in size, so that the model also predicts the size of the answer.",
    )
    split: str = setting(
        "auto",
        "What a cell is in a text: a character, or a word between spaces or commas.",
        choices=SPLITS,
    )
    question: str = setting(
        "", "Name of the column or key with the questions; empty for the usual names."
    )
    answer: str = setting(
        "", "Name of the column or key with the answers; empty for the usual names."
    )
    heldout_share: float = setting(
        0.1,
        "Fraction of the puzzles held out for choosing checkpoints, at most 1,000, if the number "
        "of held-out puzzles is 0.",
        low=0,
        below=1,
    )
    test_share: float = setting(
        0.0,
        "Fraction of the puzzles set aside for the final score, at most 1,000, if the number of "
        "test puzzles is 0.",
        low=0,
        below=1,
    )


class GridTask(Task):
    """Maps grids of symbols to grids of symbols; it has no rules, only labels."""

    name = "grid"
    settings: ClassVar[type[Settings]] = GridSettings
    counts: ClassVar = {"train": 0, "heldout": 0, "test": 0}
    shape_keys: ClassVar[tuple[str, ...]] = FORM_KEYS
    takes_directories = True

    def build(self, request: Request) -> Dataset:
        """See `Task`: from a file or a folder."""
        counts = {"train": request.train, "heldout": request.heldout, "test": request.test}
        return build.build(self.name, request.source, counts, request.settings, request.seed)

    def build_test(self, path: str, shape: Shape) -> Dataset:
        """See `Task`: a file or a folder of the kinds that `build` takes."""
        said = shape.get("source", {}).get("settings", {})
        names = {key: said[key] for key in ("question", "answer", "split") if key in said}
        return build.build_test(path, shape, GridSettings(**names))

    def shapes(self, settings: Any) -> dict[str, Any] | None:
        """See `Task`: None, since the form is inferred from the pairs."""
        return None

    def summary(self, shape: Shape) -> str:
        """See `Task`: the inferred form."""
        form = Form.of(shape)
        size = f"{form.rows}x{form.columns} cells"
        changed = f"answers change {' '.join(form.open)!r} alone" if form.open else ""
        dropped = shape["source"].get("dropped", {})
        parts = [
            f"grids of up to {size}" if form.canvas else size,
            f"symbols {' '.join(form.symbols)}",
            changed or "answers may change any cell",
            *(f"{count:,} {name} rows left out" for name, count in dropped.items() if count),
        ]
        return "; ".join(parts)

    def random_questions(self, shape: Shape, count: int) -> Tokens:
        """See `Task`: symbols drawn at random."""
        form = Form.of(shape)
        tokens = np.asarray(sorted(form.tokens.values()), np.uint8)
        return np.random.default_rng(0).choice(tokens, (count, form.cells))

    def augmentation(self, shape: Shape) -> tuple[Augment, int] | None:
        """See `Task`: with the symmetries of the settings."""
        likeness = Likeness.of(shape)
        if not likeness:
            return None

        def augment(inputs: Grids, labels: Grids, words: NDArray[np.uint64]) -> tuple[Grids, Grids]:
            drawn = likeness.draw(words)
            return drawn.apply(inputs), drawn.apply(labels)

        return augment, likeness.words

    def view(self, dataset: Dataset, copies: int, seed: int, *, train: bool) -> View:
        """See `Task`: without symmetries only the originals, whatever `copies` is."""
        some = bool(Likeness.of(dataset.manifest))
        return super().view(dataset, copies if some else 0, seed, train=train)

    def symmetries(self, shape: Shape, which: str, count: int, seed: int) -> GridSymmetry:
        """See `Task`."""
        likeness = Likeness.of(shape)
        have = {"digits": len(likeness.alike) > 1, "dihedral": len(likeness.maps) > 1}
        if not have.get(which, any(have.values())):
            self.lacks(
                f"symmetries of the kind {which!r} in this dataset",
                "build it with --turns or --alike, or leave --copies out",
            )
        return likeness.copies(which, count, seed)

    def separator(self, shape: Shape) -> str:
        """See `Task`."""
        return " " if Form.of(shape).words else ""

    def row_end(self, shape: Shape) -> str:
        """See `Task`."""
        return Form.of(shape).row_end

    def symbols(self, shape: Shape) -> tuple[str, ...]:
        """See `Task`."""
        form = Form.of(shape)
        return ("", form.blank, *form.alphabet, *[""] * form.canvas)

    def read_all(self, shape: Shape, text: str) -> list[Given]:
        """See `Task`: plain text, a table's column of questions, or JSON Lines."""
        return grid_text.read_all(Form.of(shape), text)

    def write(self, shape: Shape, tokens: Tokens) -> str:
        """See `Task`."""
        names = [token.text for token in self.board(shape).tokens]
        return grid_text.write(Form.of(shape), tokens, names)

    def read_array(self, shape: Shape, cells: NDArray[Any]) -> Tokens:
        """See `Task`: symbols, or whole numbers."""
        form, style = Form.of(shape), Style()
        if cells.dtype.kind not in "iubU":
            raise UserError(f"the puzzle is an array of {cells.dtype}; give symbols, or numbers.")
        rows = cells if cells.ndim == 2 else cells[None]
        texts = [[str(cell) for cell in row] for row in rows.tolist()]
        return grid_text.lay(form, rows_of(texts, style, "the puzzle", "question"))

    def write_array(self, shape: Shape, tokens: Tokens) -> NDArray[Any]:
        """See `Task`: integers if all symbols are whole numbers, otherwise texts."""
        form, names = Form.of(shape), [token.text for token in self.board(shape).tokens]
        grid = self.grid(shape, tokens)
        known = not form.numbers or np.isin(grid, list(form.tokens.values())).all()
        texts = np.asarray(names)[grid]
        return texts.astype(np.int64) if form.numbers and known else texts

    def rules(self, question: Symbols, answer: Symbols) -> list[str] | None:
        """The rules that an answer breaks, as text; None, as here, if there are no rules.

        A subclass in a plugin can override this. It is called for answers that keep the givens.

        Args:
          question: symbols, texts [rows, columns]; "" for cells outside of the grid.
          answer: symbols, texts [rows, columns]; "" for cells without a symbol.
        """
        return None

    def check(self, shape: Shape, question: Tokens, answer: Tokens) -> list[str] | None:
        """See `Task`: an answer that changes a given is wrong; otherwise the rules decide."""
        form = Form.of(shape)
        kept = form.canvas or np.isin(question, form.open_tokens()) | (question == answer)
        if not np.all(kept):
            return ["a given was changed"]
        return self.rules(self._symbols(form, question), self._symbols(form, answer))

    def accepts(self, shape: Shape, questions: Tokens, answers: Tokens) -> NDArray[np.bool_] | None:
        """See `Task`: None if there are no rules."""
        form = Form.of(shape)
        if self.rules(self._symbols(form, questions[0]), self._symbols(form, answers[0])) is None:
            return None
        return super().accepts(shape, questions, answers)

    def _symbols(self, form: Form, tokens: Tokens) -> Symbols:
        names = [""] * form.vocab
        for symbol, token in form.tokens.items():
            names[token] = symbol
        return np.asarray(names)[grid_text.crop(form, tokens)]

    def title(self, shape: Shape) -> str:
        """See `Task`."""
        return (
            f"grids of {'up to ' * bool(shape['canvas'])}{shape['rows']}x{shape['columns']} cells"
        )

    def board(self, shape: Shape) -> Board:
        """See `Task`."""
        return board_of(Form.of(shape), str(shape.get("looks", "auto")))

    def grid(self, shape: Shape, tokens: Tokens) -> Grid:
        """See `Task`: on a canvas, the grid in its corner."""
        return grid_text.crop(Form.of(shape), tokens)
