"""Tables of Sudokus as people have them: read where that is harmless, or refused in a sentence."""

import gzip
import os

import numpy as np
import pytest

from tests.tasks.sudoku.test_notation import hexadecimal
from tests.tasks.sudoku.test_sudoku import ANSWER, NINE, QUESTION, pattern
from tests.tasks.sudoku.test_sudoku_csv import write
from trm_jax.core.errors import UserError
from trm_jax.tasks.sudoku.read import read_csv
from trm_jax.tasks.sudoku.sudoku import Sudoku

ZEROS = QUESTION.replace(".", "0")
OTHER = (QUESTION.replace("5", "2", 1), ANSWER)

HARMLESS = {
    "a million": f"quizzes,solutions\n{ZEROS},{ANSWER}\n",
    "three million": f"id,puzzle,solution,clues,difficulty\n1,{QUESTION},{ANSWER},30,1.2\n",
    "no rating": f"puzzle,solution\n{QUESTION},{ANSWER}\n",
    "capitals": f"Source,QUESTION,Answer,Rating\na,{QUESTION},{ANSWER},0\n",
    "answers first": f"solution;puzzle\n{ANSWER};{QUESTION}\n",
    "tabs": f"puzzle\tsolution\n{QUESTION}\t{ANSWER}\n",
    "a mark": f"\ufeffquestion,answer\n{QUESTION},{ANSWER}\n",
    "CRLF": f"question,answer\r\n{QUESTION},{ANSWER}\r\n",
    "CR": f"question,answer\r{QUESTION},{ANSWER}\r",
    "empty lines": f"question,answer\n\n{QUESTION},{ANSWER}\n\n\n",
    "empty rows": f"question,answer,\n,,\n{QUESTION},{ANSWER},\n,,\n",
    "spaces": f"source, question, answer\na, {QUESTION}, {ANSWER}\n",
    "quotes": f'"question","answer"\n"{QUESTION}","{ANSWER}"\n',
    "text marks": f"question,answer\n'{ZEROS},'{ANSWER}\n",
    "formulas": f'question,answer\n"=""{ZEROS}""","=""{ANSWER}"""\n',
    "no names": f"{ZEROS},{ANSWER}\n",
    "no names but more": f"17,{QUESTION},{ANSWER},3.5\n",
    "no rating in the row": f"question,answer,rating\n{QUESTION},{ANSWER}\n",
    "more empty fields": f"question,answer\n{QUESTION},{ANSWER},,\n",
    "other blanks": f"question,answer\n{QUESTION.replace('.', '*')},{ANSWER}\n",
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_harmless_tables_are_read(tmp_path, kind):
    path = tmp_path / "puzzles.csv"
    path.write_bytes(HARMLESS[kind].encode())
    ((question,), (answer,)) = read_csv(path, NINE)
    assert NINE.format_line(question) == QUESTION and NINE.format_line(answer) == ANSWER


def test_zeros_that_a_spreadsheet_dropped_are_put_back(tmp_path):
    question = "00" + ZEROS[2:]
    path = write(tmp_path / "puzzles.csv", ["question,answer", f"{question[2:]},{ANSWER}"])
    ((found,), _) = read_csv(path, NINE)
    assert NINE.format_line(found) == question.replace("0", ".")
    write(path, ["question,answer", f"{ZEROS[:-1]},{ANSWER}"])
    with pytest.raises(UserError, match="line 2: the answer does not solve"):
        read_csv(path, NINE)


LINE = f"{QUESTION},{ANSWER}\n".encode()
REFUSED = {
    "twice": (["question,answer", *2 * [f"{QUESTION},{ANSWER}"]], "line 3: .* same as in line 2"),
    "twice, with an empty line": (
        ["question,answer", f"{QUESTION},{ANSWER}", "", f"{QUESTION},{ANSWER}"],
        "line 4: .* same as in line 2",
    ),
    "rounded": (["question,answer", "5.3007E+80,5.3E+80"], "line 2: .* rounded"),
    "empty": (["question,answer", f",{ANSWER}"], "line 2: the question is empty"),
    "both blanks": (
        ["question,answer", "", f"{QUESTION[:-3]}0{QUESTION[-2:]},{ANSWER}"],
        "line 3: '0' is used beside another character for a blank",
    ),
    "a puzzle a line": ([QUESTION, QUESTION[::-1]], "line 1: there is a puzzle without an answer"),
    "no answers": (["puzzle,clues", f"{QUESTION},30"], r"no column 'answer' \(or answers, sol"),
    "no puzzles": (["id,solution", f"1,{ANSWER}"], r"no column 'question' \(or puzzle"),
    "columns": ([",".join(["c"] * 200_000)], "200,000 columns, and at most 1,000"),
    "a long line": (["question,answer", "1" * 2**20], "line 2: .* 1,048,576 characters or more"),
    "empty lines": (["question,answer", *[""] * 100_001], "empty line number 100,001"),
    "a wrong answer": (
        ["question,answer", "", f"{QUESTION},{ANSWER[1:]}{ANSWER[0]}"],
        "line 3: the answer does not solve",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_others_are_refused_with_line_and_reason(tmp_path, kind):
    lines, message = REFUSED[kind]
    path = write(tmp_path / "puzzles.csv", lines)
    with pytest.raises(UserError, match=message) as error:
        read_csv(path, NINE)
    assert "puzzles.csv" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("question,answer".encode("utf-16"), "encoded in UTF-16; save it as UTF-8"),
        ("question,answer".encode("utf-32"), "encoded in UTF-32"),
        ("question,answer".encode("utf-16-le"), "UTF-16 without a mark"),
        (b"PK\x03\x04 and more", "a ZIP archive or a spreadsheet"),
        (gzip.compress(b"question,answer\n" + bytes(2**25)), "characters or more"),
        (gzip.compress(b"question,answer\n" + 110_000 * LINE), "more than 100 times"),
    ],
)
def test_what_is_no_text_is_named(tmp_path, content, message):
    path = tmp_path / "puzzles.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_csv(path, NINE)


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "puzzles.csv")
    with pytest.raises(UserError, match="a pipe or a device"):
        read_csv(tmp_path / "puzzles.csv", NINE)


def test_hexadecimal_answers_make_zero_a_digit(tmp_path):
    sixteen = Sudoku(4, 4)
    ours, zero_based = hexadecimal()
    answer = sixteen.format_line(pattern(sixteen))
    shifted = answer.translate(str.maketrans("123456789ABCDEFG", "0123456789ABCDEF"))
    rows = ["question,answer", f"{zero_based},{shifted}"]
    ((question,), (found,)) = read_csv(write(tmp_path / "a.csv", rows), sixteen)
    assert sixteen.format_line(question) == ours
    np.testing.assert_array_equal(found, pattern(sixteen))
    letters = answer.translate(str.maketrans("123456789ABCDEFG", "ABCDEFGHIJKLMNOP"))
    question = ours.translate(str.maketrans("123456789ABCDEFG", "ABCDEFGHIJKLMNOP"))
    ((found,), _) = read_csv(
        write(tmp_path / "b.csv", ["puzzle,solution", f"{question},{letters}"]), sixteen
    )
    assert sixteen.format_line(found) == ours
