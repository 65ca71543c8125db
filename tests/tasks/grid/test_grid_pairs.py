"""Pairs of grids from files: what is read, worked out, refused."""

import gzip
import json
import zipfile

import numpy as np
import pytest

from trm_jax.core.errors import UserError
from trm_jax.data.format import load, save
from trm_jax.tasks.grid.task import GridSettings
from trm_jax.tasks.grid.vocabulary import Form
from trm_jax.tasks.task import TASKS, Request

TASK = TASKS.get("grid")
QUESTIONS = ("1..4", ".2.4", "12..", "1.3.", "..34", ".23.", "1..3", ".4.2", "4..1", "3.1.")
ANSWERS = ("1234", "1234", "1234", "1234", "1234", "1234", "1243", "3412", "4321", "3412")


def table(tmp_path, lines, name="pairs.csv"):
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def rows(questions=QUESTIONS, answers=ANSWERS):
    return [f"{q},{a}" for q, a in zip(questions, answers, strict=True)]


def build(source, train=0, heldout=0, test=0, seed=0, **settings):
    return TASK.build(Request(str(source), train, heldout, test, 0, seed, GridSettings(**settings)))


def written(dataset):
    """All pairs of a dataset as text, in order."""
    shape = dataset.manifest
    both = zip(dataset.inputs, dataset.labels, strict=True)
    return sorted((TASK.write(shape, q), TASK.write(shape, a)) for q, a in both)


PAIRS = sorted(zip(QUESTIONS, ANSWERS, strict=True))


def test_a_csv_file_is_worked_out(tmp_path):
    dataset = build(table(tmp_path, ["question,answer", *rows()]))
    form = Form.of(dataset.manifest)
    assert (form.rows, form.columns, form.blank) == (2, 2, ".")
    assert form.alphabet == ("1", "2", "3", "4") and form.open == (".",) and form.vocab == 6
    assert written(dataset) == PAIRS
    assert dataset.manifest["counts"] == {"train": 9, "heldout": 1}
    assert not (dataset.labels < 2).any() and set(dataset.inputs.ravel()) == {1, 2, 3, 4, 5}


def of_lists(path, kind):
    entries = [
        {"input": [list(q[:2]), list(q[2:])], "output": [list(map(int, a[:2])), [*map(int, a[2:])]]}
        for q, a in PAIRS
    ]
    if kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, entries)))
    else:
        path.write_text(json.dumps(entries if kind == "list" else {"data": entries}))


@pytest.mark.parametrize("kind", ["list", "data", "jsonl"])
def test_json_of_lists_of_numbers_and_symbols(tmp_path, kind):
    path = tmp_path / ("pairs.jsonl" if kind == "jsonl" else "pairs.json")
    of_lists(path, kind)
    assert written(build(path)) == PAIRS


@pytest.mark.parametrize("shape", [(4,), (2, 2)])
@pytest.mark.parametrize("kind", [int, str])
def test_arrays_of_numbers_and_of_characters(tmp_path, shape, kind):
    questions = np.asarray([[*map(kind, q.replace(".", "0"))] for q, _ in PAIRS])
    answers = np.asarray([[*map(kind, a)] for _, a in PAIRS])
    path = tmp_path / "pairs.npz"
    np.savez(path, inputs=questions.reshape(-1, *shape), labels=answers.reshape(-1, *shape))
    dataset = build(path)
    assert written(dataset) == sorted((q.replace(".", "0"), a) for q, a in PAIRS)
    assert dataset.manifest["blank"] == "0"


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffid;Puzzle;Solution\r\n" + "".join(f"1;{q};{a}\r\n" for q, a in PAIRS),
        '"question"\t"answer"\n' + "".join(f'"{q}"\t"{a}"\n\n' for q, a in PAIRS),
        "".join(f"{q}, {a}\n" for q, a in PAIRS).replace(", ", ","),  # no names
        "question,answer\n" + "".join(f'"{q[:2]}\n{q[2:]}","{a[:2]}\n{a[2:]}"\n' for q, a in PAIRS),
        "question,answer\n" + "".join(f"{' '.join(q)},{' '.join(a)}\n" for q, a in PAIRS),
        "question,answer\n" + "".join(f'"{",".join(q)}","{",".join(a)}"\n' for q, a in PAIRS),
    ],
    ids=["bom, crlf and semicolons", "tabs and quotes", "no header", "lines", "spaces", "commas"],
)
def test_tables_as_people_have_them(tmp_path, text):
    path = tmp_path / "pairs.csv"
    path.write_bytes(text.encode())
    assert written(build(path)) == PAIRS
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert written(build(packed)) == PAIRS


def test_a_folder_is_read_and_a_test_file_in_it_is_not_trained_on(tmp_path):
    lines = rows()
    table(tmp_path, ["question,answer", *lines[:5]], "a.csv")
    table(tmp_path, ["question,answer", *lines[5:]], "b.csv")
    (tmp_path / "notes.txt").write_text("nothing")
    assert written(build(tmp_path)) == PAIRS
    table(tmp_path, ["question,answer", *lines[:1]], "test.csv")
    with pytest.raises(UserError, match=r"test\.csv has the name of .* `trm eval --data FILE`"):
        build(tmp_path)


BAD = {
    "a longer question": (["1..44,1234"], r"line 12: the question has 5 cells instead of 4"),
    "a shorter answer": (["2..1,231"], r"line 12: the answer has 3 cells .* question 4"),
    "an empty answer": (["2..1,"], r"line 12: the answer is empty"),
    "a missing field": (["2..1"], r"line 12: the row has 1 fields and the first row 2"),
    "two answers": (
        ["1..4,1324", "12..,1243"],
        r"line 12: the question is the same as in .*line 2 .* 2 questions have several answers",
    ),
    "a dropped zero": (["14,1423"], r"line 12: the question has 2 cells instead of 4"),
    "an escape character": (["2..\x1b,2143"], r"the symbol '\\x1b', which cannot be printed"),
    "a rounded number": (["1.2E+3,1234"], r"line 12: .* a spreadsheet has rounded"),
}


@pytest.mark.parametrize(("lines", "message"), BAD.values(), ids=BAD)
def test_bad_rows_are_refused_with_their_line(tmp_path, lines, message):
    with pytest.raises(UserError, match=message):
        build(table(tmp_path, ["question,answer", *rows(), *lines]))


def test_other_encodings_are_refused_with_their_line(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes("question,answer\n1.,12\n.é,1é\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"latin\.csv, line 3: there is a byte that is not UTF-8"):
        build(path)


def test_json_lines_may_have_line_separators_in_them(tmp_path):
    entries = [{"question": q, "answer": a, "note": "a\u2028b"} for q, a in PAIRS]
    lines = [json.dumps(entry, ensure_ascii=False) for entry in entries]
    assert written(build(table(tmp_path, lines, "pairs.jsonl"))) == PAIRS


@pytest.mark.parametrize("cell", ["1" * 5000, 1e300])
def test_symbols_that_are_too_long_are_refused(tmp_path, cell):
    lines = [json.dumps({"question": [[each]], "answer": [[each]]}) for each in (cell, 1)]
    with pytest.raises(UserError, match=r"the symbol 1.*\.\.\., of .* has at most 32"):
        build(table(tmp_path, lines, "pairs.jsonl"))


def test_a_canvas_has_a_limit(tmp_path):
    lines = [json.dumps({"question": q, "answer": q}) for q in ([[1]] * 2000, [[1] * 2000])]
    with pytest.raises(UserError, match="grids of 2,000x2,000 cells, and at most 1,000,000"):
        build(table(tmp_path, lines, "pairs.jsonl"), canvas=True)


def _no_characters(path):
    np.savez(path, question=np.array([b"\xff1"]), answer=np.array([b"11"]))


def _one_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros((3, 4), np.uint8))


def _larger_than_memory(path):
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**9, 10**6)}
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("question.npy", "answer.npy"):
            with archive.open(name, "w") as file:
                np.lib.format.write_array_header_1_0(file, header)


@pytest.mark.parametrize("write", [_no_characters, _one_array, _larger_than_memory])
def test_arrays_that_cannot_be_read_are_refused(tmp_path, write):
    write(tmp_path / "pairs.npz")
    with pytest.raises(UserError, match=r"pairs\.npz cannot be read as an \.npz file"):
        build(tmp_path / "pairs.npz")


def test_one_column_is_not_both_question_and_answer(tmp_path):
    for lines, name in ((["question,answer", *rows()], "a.csv"), (['{"answer": "1"}'], "a.jsonl")):
        with pytest.raises(UserError, match="questions and answers are both 'answer'"):
            build(table(tmp_path, lines, name), question="answer")


def test_symbols_that_are_named_twice_change_places_once(tmp_path):
    path = table(tmp_path, ["question,answer", *rows()])
    assert build(path, alike="1121").manifest["alike"] == ["1", "2"]


def test_what_is_told_is_held_to(tmp_path):
    path = table(tmp_path, ["question,answer", *rows(), "21.3,1243"])
    assert build(path).manifest["open"] == [], "any cell may change"
    with pytest.raises(UserError, match=r"line 12: the answer changes '2' in cell 1 to '1'"):
        build(path, blank=".")
    with pytest.raises(
        UserError, match=r"line 2: '4' in the question is not a symbol; use \. 1 2 3"
    ):
        build(path, symbols=".123")
    with pytest.raises(UserError, match=r"blank is '0', which no question has"):
        build(path, blank="0")
    with pytest.raises(UserError, match=r"no column 'quest' in 'question,answer'"):
        build(path, question="quest")
    with pytest.raises(UserError, match="cannot be split into 3 rows"):
        build(path, rows=3)
    form = Form.of(build(path, rows=1).manifest)
    assert (form.rows, form.columns) == (1, 4)


def test_repeated_rows_are_counted_and_left_out(tmp_path):
    dataset = build(table(tmp_path, ["question,answer", *rows(), *rows()[:3]]))
    assert written(dataset) == PAIRS
    assert dataset.manifest["source"]["dropped"] == {"repeated": 3, "symmetric": 0}
    assert "3 repeated rows left out" in TASK.summary(dataset.manifest)


def test_no_symmetric_copy_of_a_puzzle_is_kept_beside_it(tmp_path):
    # the second is the first turned, the third is it with 1 and 2 renamed
    lines = ["question,answer", "1..4,1234", "4..1,4321", "2..4,2134", "13..,1324"]
    path = table(tmp_path, lines)
    assert len(build(path, heldout=1, turns=True, alike="12").inputs) == 2
    assert len(build(path, heldout=1, alike="12").inputs) == 3
    assert len(build(path, heldout=1).inputs) == 4


def test_splits_share_no_question_and_the_shares_are_kept(tmp_path):
    dataset = build(table(tmp_path, ["question,answer", *rows()]), test_share=0.2)
    assert dataset.manifest["counts"] == {"train": 7, "heldout": 1, "test": 2}
    again = build(table(tmp_path, ["question,answer", *rows()]), train=3, heldout=1, test=2)
    same = dataset.splits["test"], again.splits["test"]
    assert (dataset.inputs[same[0]] == again.inputs[same[1]]).all()
    save(dataset, tmp_path / "data")
    assert load(tmp_path / "data").manifest == dataset.manifest


def test_words_are_symbols_too(tmp_path):
    lines = ["question,answer", "9 . 11,9 10 11", ". 8 9,7 8 9", "-1 . 1,-1 0 1", "1 . .,1 2 3"]
    dataset = build(table(tmp_path, lines))
    form = Form.of(dataset.manifest)
    assert form.alphabet == ("-1", "0", "1", "2", "3", "7", "8", "9", "10", "11") and form.words
    assert (". 8 9", "7 8 9") in written(dataset)
    shape = dataset.manifest
    question = TASK.read(shape, "9 .  11")
    assert TASK.write(shape, question) == "9 . 11"
    assert (TASK.read_array(shape, np.asarray(["9", ".", "11"])) == question).all()
    with pytest.raises(UserError, match="symbol '12' at place 3"):
        TASK.read(shape, "9 . 12")


def test_grids_of_different_sizes_need_to_be_asked_for(tmp_path):
    lines = [json.dumps({"question": q, "answer": a}) for q, a in SIZES]
    path = table(tmp_path, lines, "pairs.jsonl")
    with pytest.raises(UserError, match="if grids differ in size, set canvas"):
        build(path)
    dataset = build(path, canvas=True)
    form = Form.of(dataset.manifest)
    assert (form.rows, form.columns, form.outside) == (2, 3, form.vocab - 1)
    assert ("12/30", "13/20") in written(dataset) and ("123", "321") in written(dataset)
    assert (dataset.labels > 0).all(), "the size of an answer is scored"
    shape = dataset.manifest
    for text in ("12/30", "12\n30", "1 2\n3 0"):
        assert TASK.grid(shape, TASK.read(shape, text)).shape == (2, 2)
    assert len(TASK.read_all(shape, "12/30\n123\n")) == 2
    assert len(TASK.read_all(shape, "12\n30\n\n123\n")) == 2
    with pytest.raises(UserError, match="at most 2 rows of 3"):
        TASK.read(shape, "1230")
    with pytest.raises(UserError, match="are not turned"):
        build(path, canvas=True, turns=True)


SIZES = [
    ([[1, 2], [3, 0]], [[1, 3], [2, 0]]),
    ([[1, 2, 3]], [[3, 2, 1]]),
    ([[1]], [[1], [1]]),
    ([[2, 2, 0], [1, 1, 1]], [[2, 2]]),
]


def test_the_test_file_of_a_model_has_its_form(tmp_path):
    shape = build(table(tmp_path, ["question,answer", *rows()])).manifest
    path = table(tmp_path, ["question,answer", "4..2,4132"], "more.csv")
    dataset = TASK.build_test(str(path), shape)
    assert written(dataset) == [("4..2", "4132")] and list(dataset.splits) == ["test"]
    bad = table(tmp_path, ["question,answer", "5..2,5132"], "bad.csv")
    with pytest.raises(UserError, match=r"bad\.csv, line 2: '5' in the question is not a symbol"):
        TASK.build_test(str(bad), shape)
    changed = table(tmp_path, ["question,answer", "1..2,2132"], "changed.csv")
    with pytest.raises(UserError, match="the answer changes '1' in cell 1 to '2'"):
        TASK.build_test(str(changed), shape)


@pytest.mark.parametrize(
    "text",
    [
        "1..4\n.2.4",
        "1.\n.4\n\n.2\n.4\n",
        "1 .\n. 4\n. 2\n. 4",
        "question,answer\n1..4,1234\n.2.4,",
        "# two\n1..4\n.2.4",
        '{"question": "1..4"}\n{"question": [[".", 2], [".", 4]]}',
        "┌─────┐\n│ 1 . │\n│ . 4 │\n└─────┘\n.2.4",
    ],
)
def test_questions_are_read_as_people_write_them(tmp_path, text):
    shape = build(table(tmp_path, ["question,answer", *rows()])).manifest
    found = [TASK.write(shape, given.tokens) for given in TASK.read_all(shape, text)]
    assert found == ["1..4", ".2.4"]


def test_a_quote_that_is_not_closed_is_no_table(tmp_path):
    shape = build(table(tmp_path, ["question,answer", *rows()])).manifest
    with pytest.raises(UserError, match=r"line 3: not valid CSV \(field larger"):
        TASK.read_all(shape, 'question\n1..4\n"' + "1" * 200_000)


def test_answers_that_change_givens_are_wrong_and_of_others_nothing_is_known(tmp_path):
    shape = build(table(tmp_path, ["question,answer", *rows()])).manifest
    question, right, wrong = (TASK.read(shape, text) for text in ("1..4", "1234", "2134"))
    assert TASK.check(shape, question, right) is None
    assert TASK.check(shape, question, wrong) == ["a given was changed"]
    assert (TASK.write_array(shape, right) == np.asarray([[1, 2], [3, 4]]).astype(str)).all()


def test_symmetric_copies_solve_symmetric_questions(tmp_path):
    path = table(tmp_path, ["question,answer", *rows()])
    dataset = build(path, turns=True, alike="all", heldout=1)
    augment, words = TASK.augmentation(dataset.manifest)
    draw = np.random.default_rng(0).integers(0, 2**63, (len(dataset.inputs), words))
    inputs, labels = augment(dataset.inputs, dataset.labels, draw.astype(np.uint64))
    given = inputs > 1
    assert (inputs != dataset.inputs).any() and (inputs[given] == labels[given]).all()
    for which in ("digits", "dihedral", "all"):
        found = TASK.symmetries(dataset.manifest, which, 8, 0)
        first = found.take(np.zeros(len(dataset.inputs), int)).apply(dataset.inputs)
        assert (first == dataset.inputs).all()
    plain = build(path).manifest
    with pytest.raises(UserError, match=r"no symmetries of the kind 'digits' .* --alike"):
        TASK.symmetries(plain, "digits", 8, 0)
