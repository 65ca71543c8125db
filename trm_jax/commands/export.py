"""`trm export`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from trm_jax.commands import common, model_flags
from trm_jax.core.errors import EXIT_DONE, UserError
from trm_jax.serving import hub
from trm_jax.serving.export import DTYPES, Form, save
from trm_jax.serving.program import ANY


def define(values: flags.FlagValues, _: Sequence[str]) -> None:
    """Adds the flags."""
    model_flags.define(values)
    common.define_checkpoint(values)
    flags.DEFINE_string("out", None, "Directory to write the model to.", flag_values=values)
    size = "Puzzles per call of the exported program: a number, or 'any'."
    flags.DEFINE_string("batch_size", ANY, size, flag_values=values)
    stored = "Dtype that the weights are stored in; the program computes in the dtype of training."
    flags.DEFINE_enum("weights", DTYPES[0], list(DTYPES), stored, flag_values=values)
    licence = "Licence of the weights, for the model card."
    flags.DEFINE_string("license", Form.license, licence, flag_values=values)
    push = "Repository OWNER/NAME of the Hugging Face hub to upload the model to."
    flags.DEFINE_string("push", None, push, flag_values=values)
    private = "Make the repository of --push private."
    flags.DEFINE_bool("private", False, private, flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Exports a model as a directory that needs only JAX to run.

    Usage:
      trm export --workdir DIR | --model NAME --out DIR2 [--steps 16] [--weights bfloat16]
                 [--push OWNER/NAME]

    DIR2 contains the rollout as a program for CPU, CUDA and TPU (jax.export), the weights, a
    manifest, a Python loader, and a model card with the results of `trm eval`. The exported
    program is loaded and compared with the library's own predictions before DIR2 is written.
    docs/reference/python.md shows how to use it.
    """
    common.refuse_rest(rest)
    model_flags.check(values)
    out = common.need(values, "out")
    if values.private and not values.push:
        raise UserError("--private is for --push owner/name; give both, or leave it out.")
    if values.push is not None:
        hub.check_login(values.push)
    batch_size = _batch_size(values.batch_size)
    trained = model_flags.load_model(values, values.checkpoint)
    steps = common.depth(values, trained.model.config.N)
    form = Form(steps, batch_size, values.weights, values.license)
    manifest = save(trained, out, form)
    print(_checked(manifest["check"]))
    size = sum(path.stat().st_size for path in Path(out).iterdir())
    print(f"wrote {out}: checkpoint {trained.step}, {steps} steps, {size / 1e6:,.1f} MB")
    if values.push is not None:
        print(f"pushed to {hub.push(Path(out), values.push, private=values.private)}")
    return EXIT_DONE


def _checked(check: Mapping[str, Any]) -> str:
    """The outcome of the comparison with the library's own rollout, in one line."""
    puzzles, same = check["puzzles"], check["same_answers"]
    many = f"{puzzles} puzzles" if same == puzzles else f"{same} of {puzzles} puzzles"
    text = f"same answers as the library's own rollout on {many} ({check['what']})"
    if same < puzzles:
        text += f", and on {check['same_cells']:.2%} of all cells"
    if "same_answers_as_unrounded" in check:
        text += f"; same answers as the unrounded weights on {check['same_answers_as_unrounded']}"
    return text


def _batch_size(text: str) -> int | str:
    if text == ANY:
        return ANY
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--batch_size is {text!r}; give 1 or more puzzles, or {ANY!r}.")
    return int(text)
