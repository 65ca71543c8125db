"""Sudokus in the forms that people have them in: read alike, or refused with line and reason."""

import numpy as np
import pytest

from tests.tasks.sudoku.test_sudoku import ANSWER, NINE, QUESTION, drawn, pattern
from trm_jax.core.errors import UserError
from trm_jax.tasks.given import BadLineError
from trm_jax.tasks.sudoku.sudoku import Sudoku

FOUR, SIX, SIXTEEN = Sudoku(2, 2), Sudoku(2, 3), Sudoku(4, 4)
ROWS = [QUESTION[i : i + 9] for i in range(0, 81, 9)]
OTHER = "23..7....6..192....98....6.8...6...34..8.3..17...5...6.6....58....419..2....8..79"


def boxed(rows, bar="|", rule="---+---+---"):
    lines = [bar.join((row[:3], row[3:6], row[6:])) for row in rows]
    return "\n".join([*lines[:3], rule, *lines[3:6], rule, *lines[6:]])


def hexadecimal():
    """A 16x16 question with givens of all digits: as we write it, and with digits from 0 to F."""
    tokens = pattern(SIXTEEN)
    tokens[::2] = 1
    ours = SIXTEEN.format_line(tokens)
    return ours, ours.translate(str.maketrans("123456789ABCDEFG", "0123456789ABCDEF"))


ONE = {
    "a line": QUESTION,
    "zeros": QUESTION.replace(".", "0"),
    "stars": QUESTION.replace(".", "*"),
    "question marks": QUESTION.replace(".", "?"),
    "X": QUESTION.replace(".", "X"),
    "x": QUESTION.replace(".", "x"),
    "underscores": QUESTION.replace(".", "_"),
    "dashes": QUESTION.replace(".", "-"),
    "long dashes": QUESTION.replace(".", "\u2013"),
    "middle dots": QUESTION.replace(".", "\u00b7"),
    "spaces": QUESTION.replace(".", " "),
    "no-break spaces as blanks": QUESTION.replace(".", "\u00a0"),
    "signs for spaces": QUESTION.replace(".", "\u2423"),
    "curly quotes": f"\u201c{QUESTION}\u201d",
    "characters of no width": "\u200b" + "\u200b".join(ROWS),
    "full width": QUESTION.replace("5", "\uff15"),
    "rows": "\n".join(ROWS),
    "CRLF": "\r\n".join(ROWS) + "\r\n",
    "CR": "\r".join(ROWS),
    "rows of stars": "\n".join(ROWS).replace(".", "*"),
    "rows of dashes": "\n".join(ROWS).replace(".", "-"),
    "rows of spaces": "\n".join(ROWS).replace(".", " "),
    "rows of trimmed spaces": "\n".join(row.replace(".", " ").rstrip() for row in ROWS),
    "rows with indent": "\n".join(f"    {row}" for row in ROWS),
    "cells apart": "\n".join(" ".join(row) for row in ROWS),
    "cells apart in one line": " ".join(QUESTION),
    "tabs": "\n".join("\t".join(row) for row in ROWS),
    "commas": "\n".join(",".join(row.replace(".", "0")) for row in ROWS),
    "empty fields": "\n".join(",".join(row.replace(".", " ")).replace(" ", "") for row in ROWS),
    "trailing commas": "\n".join(",".join(row.replace(".", "0")) + "," for row in ROWS),
    "Python": str([[int(c) for c in row.replace(".", "0")] for row in ROWS]),
    "Python by row": str([[int(c) for c in r.replace(".", "0")] for r in ROWS]).replace(
        "],", "],\n"
    ),
    "NumPy": "\n".join(f"[{' '.join(row.replace('.', '0'))}]" for row in ROWS),
    "bands apart": "\n\n".join("\n".join(ROWS[i : i + 3]) for i in (0, 3, 6)),
    "double spaced": "\n\n".join(ROWS),
    "SimpleSudoku": boxed(ROWS, rule="-----------"),
    "SimpleSudoku, framed": "*-----------*\n"
    + "\n".join(f"|{line}|" for line in boxed(ROWS).split("\n"))
    + "\n*-----------*",
    "HoDoKu": ".-------.-------.-------.\n"
    + "\n".join(f"| {' '.join(r[:3])} | {' '.join(r[3:6])} | {' '.join(r[6:])} |" for r in ROWS)
    + "\n'-------'-------'-------'",
    "wide frame": boxed(ROWS, " | ", "------+-------+------"),
    "frame of dashes as blanks": boxed([row.replace(".", "-") for row in ROWS]),
    "equals": boxed(ROWS, "|", "==========="),
    "Markdown": "\n".join(f"| {' | '.join(row)} |" for row in ROWS),
    "SadMan": "[Puzzle]\n" + "\n".join(ROWS),
    "SadMan with state": "#ASomebody\n#D2020\n[Puzzle]\n"
    + "\n".join(ROWS)
    + "\n[State]\n"
    + "\n".join(ANSWER[i : i + 9] for i in range(0, 81, 9)),
    "comments": f"# mine\n// yours\n; theirs\n{QUESTION} # hard",
    "tdoku": f"# header\n{QUESTION}:0:12:some note",
    "semicolons": f"{QUESTION};{ANSWER};3.4",
    "hash and rating": f"0000183b305c {QUESTION.replace('.', '0')} 7.1",
    "numbered": f"17,{QUESTION},{ANSWER},30,1.2",
    "JSON": f'{{"puzzle": "{QUESTION}"}}',
    "our JSON": f'{{"question": "{QUESTION}", "answer": "{ANSWER}", "solved": true}}',
    "quoted": f'"{QUESTION}"',
    "quizzes": f"quizzes,solutions\n{QUESTION.replace('.', '0')},{ANSWER}",
    "answers first": f"Solution,Puzzle\n{ANSWER},{QUESTION}",
    "Euler": "Grid 01\n" + "\n".join(ROWS).replace(".", "0"),
    "title": f"Puzzle 3: {QUESTION}",
    "a mark": "\ufeff" + QUESTION,
    "no-break spaces": "\u00a0".join(QUESTION),
    "one cell a line": "\n".join(QUESTION),
    "one box row a line": "\n".join(QUESTION[i : i + 3] for i in range(0, 81, 3)),
    "three rows a line": "\n".join(QUESTION[i : i + 27] for i in range(0, 81, 27)),
    "colours": "\n".join(f"\x1b[36m{row}\x1b[0m" for row in ROWS),
}


@pytest.mark.parametrize("form", ONE)
def test_one_puzzle_in_every_form(form):
    (given,) = NINE.parse_all(ONE[form])
    assert NINE.format_line(given.tokens) == QUESTION
    assert not given.note


def test_several_puzzles():
    other = [OTHER[i : i + 9] for i in range(0, 81, 9)]
    texts = {
        "lines": f"{QUESTION}\n\n{OTHER}\n",
        "grids": "\n".join(ROWS + other),
        "grids apart": "\n".join([*ROWS, "", "", *other, ""]),
        "grids with frames": f"{boxed(ROWS)}\n\n{boxed(other)}",
        "a grid and a line": "\n".join([*ROWS, OTHER]),
        "named": "Grid 01\n" + "\n".join(ROWS) + "\nGrid 02\n" + "\n".join(other),
        "different blanks": f"{QUESTION}\n{OTHER.replace('.', '0')}",
    }
    for name, text in texts.items():
        found = [NINE.format_line(given.tokens) for given in NINE.parse_all(text)]
        assert found == [QUESTION, OTHER], name
    assert [given.line for given in NINE.parse_all(texts["grids apart"])] == [1, 12]


@pytest.mark.parametrize("sudoku", [FOUR, SIX, NINE, SIXTEEN, Sudoku(5, 5)])
@pytest.mark.parametrize("colour", [False, True])
def test_what_trm_solve_draws_is_read_back(sudoku, colour):
    tokens = pattern(sudoku)
    tokens[::3] = 1
    grid = drawn(sudoku, tokens, tokens, colour=colour)
    caption = "puzzle {}: solved, by the rules and the givens; never confident, confidence 57.7%"
    text = "\n".join([grid, caption.format(1), grid, caption.format(2)])
    for given in sudoku.parse_all(text):
        np.testing.assert_array_equal(given.tokens, tokens)
    assert len(sudoku.parse_all(text)) == 2


def test_a_row_of_dashes_is_blanks_where_dashes_are():
    text = "1---\n----\n----\n---2"
    assert FOUR.format_line(FOUR.parse(text)) == "1" + "." * 14 + "2"


def test_hexadecimal_digits_lose_none():
    ours, zero_based = hexadecimal()
    rows = [zero_based[i : i + 16] for i in range(0, 256, 16)]
    for text in (zero_based, zero_based.lower(), "\n".join(rows), zero_based.replace(".", "-")):
        (given,) = SIXTEEN.parse_all(text)
        assert SIXTEEN.format_line(given.tokens) == ours
        assert "0 to F are the digits 1 to G" in given.note
    assert SIXTEEN.format_line(SIXTEEN.parse(ours.replace(".", "0"))) == ours


def test_letters_are_digits_where_no_digit_is():
    ours, _ = hexadecimal()
    letters = ours.translate(str.maketrans("123456789ABCDEFG", "ABCDEFGHIJKLMNOP"))
    (given,) = SIXTEEN.parse_all(letters)
    assert SIXTEEN.format_line(given.tokens) == ours and "A to P" in given.note
    words = QUESTION.translate(str.maketrans("123456789", "ABCDEFGHI"))
    assert NINE.format_line(NINE.parse(words)) == QUESTION


def test_numbers_of_two_digits():
    tokens = pattern(SIXTEEN)
    tokens[::3] = 1
    numbers = [str(token - 1) if token > 1 else "0" for token in tokens.tolist()]
    rows = [numbers[i : i + 16] for i in range(0, 256, 16)]
    for separator in (" ", ",", ", ", "\t"):
        text = "\n".join(separator.join(row) for row in rows)
        np.testing.assert_array_equal(SIXTEEN.parse(text), tokens)


def test_a_zero_beside_another_blank_is_refused_where_it_may_be_a_digit():
    for sudoku, text in (
        (FOUR, "0.....1..2....3."),
        (FOUR, "1...\n..0.\n.3..\n...4"),
        (NINE, QUESTION[:-3] + "0" + QUESTION[-2:]),
        (SIXTEEN, "0.G" + "." * 253),
    ):
        with pytest.raises(UserError, match="'0' is used beside .* write every blank as '.'"):
            sudoku.parse(text)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("\n".join([*ROWS[:3], ROWS[3][:-1], *ROWS[4:]]), 4, "the line has 8 cells"),
        ("\n".join([*ROWS[:3], ROWS[3] + "1", *ROWS[4:]]), 4, "10 cells"),
        ("\n".join(ROWS[:8]), 1, "the puzzle has 72 cells and a 9x9 Sudoku has 81"),
        ("\n".join([*ROWS[:8], "", *ROWS]), 1, "has 72 cells"),
        ("\n".join([*ROWS[:8], "Grid 2", *ROWS]), 1, "has 72 cells"),
        (f"{QUESTION}\n{QUESTION[:-1]}", 2, "the puzzle has 80 cells"),
        (f"{QUESTION}\n{QUESTION}1", 2, "82 cells"),
        (f"# mine\n\n{QUESTION}\nzz{QUESTION[2:]}", 4, "'z' at place 1"),
        ("\n".join([*ROWS[:3], QUESTION]), 4, "81 cells"),
        (f"{QUESTION}\n{'A' + QUESTION[1:]}", 2, "'A' at place 1"),
        (ANSWER[:-1], 1, "80 cells"),
        ("\n".join([ANSWER[:9], ANSWER[9:17], ANSWER[18:27]]), 2, "8 cells"),
        ("hello\nworld", 1, "'l' at place 3"),
    ],
)
def test_the_line_and_the_reason_are_named(text, line, words):
    with pytest.raises(BadLineError, match=words) as error:
        NINE.parse_all(text)
    assert error.value.line == line
    assert "\n" not in str(error.value)


def test_nothing_is_no_puzzle():
    for text in ("", "\n\n", "# only a comment", "[State]\n123456789"):
        assert NINE.parse_all(text) == []
