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
    flags.DEFINE_string("out", None, "Directory to write.", flag_values=values)
    size = "Puzzles per call of the program: a number, or 'any'."
    flags.DEFINE_string("batch_size", ANY, size, flag_values=values)
    stored = "What weights are stored as; computed with as in training."
    flags.DEFINE_enum("weights", DTYPES[0], list(DTYPES), stored, flag_values=values)
    licence = "Licence of the weights, as the model card names it."
    flags.DEFINE_string("license", Form.license, licence, flag_values=values)
    push = "Upload it to the Hugging Face hub as owner/name."
    flags.DEFINE_string("push", None, push, flag_values=values)
    flags.DEFINE_bool("private", False, "Nobody else sees what --push makes.", flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Writes a model as a directory that JAX alone can run.

    trm export --workdir DIR | --model NAME --out DIR2 [--steps 16] [--weights bfloat16]
               [--push owner/name]

    DIR2 gets the rollout as a program for CPU, CUDA and TPU (jax.export), the weights, a manifest,
    a loader of its own, and a model card with what `trm eval` measured. It is read back and has to
    answer like the library before it is put in place. docs/reference/python.md says how to use it.
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
    """What the comparison with the library came to."""
    puzzles, same = check["puzzles"], check["same_answers"]
    many = f"{puzzles} puzzles" if same == puzzles else f"{same} of {puzzles} puzzles"
    text = f"same answers on {many} ({check['what']}) as the library's own rollout"
    if same < puzzles:
        text += f", and the same in {check['same_cells']:.2%} of all cells"
    if "same_answers_as_unrounded" in check:
        text += f"; on {check['same_answers_as_unrounded']} as before the weights were rounded"
    return text


def _batch_size(text: str) -> int | str:
    if text == ANY:
        return ANY
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--batch_size is {text!r}; give 1 or more puzzles, or {ANY!r}.")
    return int(text)
