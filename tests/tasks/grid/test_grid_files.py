"""Pairs of grids in files: separators of rows, headers, numbers, and what is refused."""

import gzip
import json

import numpy as np
import pytest

from tests.tasks.grid.test_grid_pairs import ANSWERS, QUESTIONS, TASK, build, rows, table, written
from trm_jax.core.errors import UserError
from trm_jax.tasks.grid.vocabulary import Form

SIZES = ("12/3.,12/34", "1.3,123", "..,21", "4/.,4/2")
TEXTS = [tuple(line.split(",")) for line in SIZES]


def jsonl(tmp_path, entries):
    lines = [each if isinstance(each, str) else json.dumps(each) for each in entries]
    return table(tmp_path, lines, "pairs.jsonl")


def refused(message, source, **settings):
    with pytest.raises(UserError, match=message) as error:
        build(source, **settings)
    assert "\n" not in str(error.value)


def test_a_slash_separates_rows_of_a_file_as_of_a_question_to_solve(tmp_path):
    dataset = build(table(tmp_path, ["question,answer", *SIZES]), canvas=True)
    form = Form.of(dataset.manifest)
    assert (form.rows, form.columns, form.symbols) == (2, 3, (".", "1", "2", "3", "4"))
    assert written(dataset) == sorted(TEXTS)
    words = ["question,answer", "1 . / 10 2,1 9 / 10 2", "9 . 1,9 10 1"]
    dataset = build(table(tmp_path, words, "words.csv"), canvas=True)
    assert ("1 . / 10 2", "1 9 / 10 2") in written(dataset)
    more = table(tmp_path, ["question,answer", "./2,1/2"], "more.csv")
    assert written(TASK.build_test(str(more), build(tmp_path / "pairs.csv", canvas=True).manifest))


def test_a_slash_is_no_symbol_with_canvas_and_is_one_without(tmp_path):
    path = table(tmp_path, ["question,answer", *SIZES])
    refused("symbols: '/' cannot be a symbol with canvas", path, canvas=True, symbols="./1234")
    lists = jsonl(tmp_path, [{"question": [["/", "."]], "answer": [["/", "1"]]}])
    refused("'/' cannot be a symbol with canvas", lists, canvas=True)
    mirrors = table(tmp_path, ["question,answer", '"/.\n./","/1\n1/"'], "mirrors.csv")
    refused("rows of 0 to 1 cells", mirrors, canvas=True)
    diagonal = table(tmp_path, ["question,answer", "/../,/11/", "..//,11//"], "plain.csv")
    assert ("/../", "/11/") in written(build(diagonal))


@pytest.mark.parametrize(
    ("header", "canvas"), [("abcd,efgh", False), ("abcd,efgh", True), ("start,final", True)]
)
def test_a_header_of_unknown_names_is_no_puzzle(tmp_path, header, canvas):
    path = table(tmp_path, [header, *rows()])
    refused(r"line 1: no symbol of '\w+,\w+' occurs in another row", path, canvas=canvas)
    question, answer = header.split(",")
    dataset = build(path, question=question, answer=answer, canvas=canvas)
    assert len(dataset.inputs) == len(QUESTIONS)


def test_a_number_is_no_grid(tmp_path):
    number = jsonl(tmp_path, [{"question": 1234, "answer": 5678}])
    refused(r"line 1: the question is a number; give a string, or a list of cells", number)
    refused("the answer is a number", jsonl(tmp_path, [{"question": "12", "answer": 1.5}]))
    single = [{"question": [[n]], "answer": [[n + 1]]} for n in range(3)]
    assert ("1", "2") in written(build(jsonl(tmp_path, single)))
    path = tmp_path / "pairs.npz"
    np.savez(path, question=np.arange(4), answer=np.arange(4))
    refused(r"question is int64 \[4\]; give numbers or characters \[m, cells\]", path)
    np.savez(path, question=np.asarray(QUESTIONS), answer=np.asarray(ANSWERS))
    assert len(build(path).inputs) == len(QUESTIONS)


def test_shares_that_leave_nothing_are_refused(tmp_path):
    path = table(tmp_path, ["question,answer", *rows()])
    refused(
        r"heldout_share 0\.9 and test_share 0\.9 sum to 1\.8",
        path,
        heldout_share=0.9,
        test_share=0.9,
    )
    counted = build(path, heldout=2, test_share=0.2, heldout_share=0.9)
    assert counted.manifest["counts"] == {"train": 6, "heldout": 2, "test": 2}


def test_files_with_a_wrong_name_are_refused_with_a_remedy(tmp_path):
    packed = tmp_path / "k.npz.gz"
    packed.write_bytes(gzip.compress(b"PK"))
    refused(r"k\.npz\.gz is a gzipped \.npz file; unpack it first", packed)
    named = table(tmp_path, ["question,answer", *rows()], "pairs.json")
    refused(r"pairs\.json begins with 'q', and JSON .* begins with '\[' or '{'; .* in \.csv", named)


def test_json_that_would_be_read_in_part_is_refused(tmp_path):
    twice = '{"question": "1..4", "answer": "1234", "answer": "4321"}'
    message = "line 2: an object has the key 'answer' twice, with the values '1234' and '4321'"
    refused(message, jsonl(tmp_path, [{"question": ".2.4", "answer": "1234"}, twice]))
    digits = '{"question": ' + "1" * 5000 + ', "answer": "1"}'
    refused("line 1 has a number of more than 4,300 digits", jsonl(tmp_path, [digits]))
