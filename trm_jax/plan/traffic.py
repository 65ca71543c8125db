"""Memory traffic of a compiled program on each device, summed over its kernels.

Each kernel is assumed to read its operands and write its results once; caches are ignored. A fusion
that only slices an operand reads those slices, an update in place writes only the changed part, and
kernels in a loop are multiplied by its number of iterations, if XLA knows it.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from trm_jax.plan.hlo import (
    Computation,
    Hlo,
    Instruction,
    arrays,
    called,
    parse,
    size,
    trips,
)

FREE = frozenset(
    {
        "parameter",
        "constant",
        "get-tuple-element",
        "tuple",
        "bitcast",
        "after-all",
        "partition-id",
        "replica-id",
        "opt-barrier",
        "add-dependency",
        "domain",
    }
)
"""Instructions without memory traffic."""
SLICES = frozenset(("slice", "dynamic-slice", "gather"))
UPDATES = {"dynamic-update-slice": 1, "scatter": 2}
"""Instructions that update their first operand in place, and the index of the update operand."""
_LIBRARIES = ("__cublas", "__cudnn")
_TARGET = re.compile(r'custom_call_target="([^"]*)"')


class Traffic(NamedTuple):
    """Memory traffic of one call of a program on one device.

    Attributes:
      bytes: bytes by kind of kernel: the name of a fusion without its number, the target of a
        custom call, or otherwise the opcode.
      runs: number of kernel launches by the same kinds.
      unknown_loops: number of loops of unknown length, which are counted once.
    """

    bytes: Mapping[str, int]
    runs: Mapping[str, int]
    unknown_loops: int

    @property
    def total(self) -> int:
        """Memory traffic of all kernels, in bytes."""
        return sum(self.bytes.values())


def read_traffic(text: str) -> Traffic:
    """The memory traffic of a compiled program, from its HLO text."""
    counted = _Count(parse(text))
    if counted.program.entry:
        counted.add(counted.program.entry, 1)
    return Traffic(counted.bytes, counted.runs, counted.unknown_loops)


class _Count:
    """Sums the traffic of a program, from its entry computation into all that it calls."""

    def __init__(self, program: Hlo) -> None:
        self.program = program
        self.bytes: Counter[str] = Counter()
        self.runs: Counter[str] = Counter()
        self.unknown_loops = 0

    def add(self, name: str, times: int) -> None:
        """Adds a computation that runs `times` times."""
        computation = self.program.computations[name]
        for instruction in computation.instructions.values():
            inner = self._inner(instruction)
            if inner:
                again = times * self._rounds(instruction)
                for body in inner:
                    self.add(body, again)
            elif not _is_free(instruction):
                kind = _kind(instruction)
                self.runs[kind] += times
                self.bytes[kind] += times * moved(instruction, computation, self.program)

    def _rounds(self, instruction: Instruction) -> int:
        if instruction.opcode != "while":
            return 1
        known = trips(instruction, self.program)
        self.unknown_loops += not known
        return known or 1

    def _inner(self, instruction: Instruction) -> list[str]:
        """The computations whose kernels an instruction runs; all branches of a conditional."""
        attributes = {
            "while": ("body",),
            "call": ("to_apply",),
            "async-start": ("calls",),
            "conditional": ("branch_computations", "true_computation", "false_computation"),
        }.get(instruction.opcode, ())
        names = [name for each in attributes for name in called(instruction, each)]
        return [name for name in names if name in self.program.computations]


def _is_free(instruction: Instruction) -> bool:
    opcode = instruction.opcode
    return opcode in FREE or opcode.endswith(("-done", "-update"))


def _kind(instruction: Instruction) -> str:
    target = _TARGET.search(instruction.rest)
    if target:
        return target[1]
    if instruction.opcode == "fusion":
        return re.sub(r"[.\d]+(\.clone)?$", "", instruction.name)
    return instruction.opcode.removesuffix("-start")


def moved(instruction: Instruction, computation: Computation, program: Hlo) -> int:
    """Bytes that one run of an instruction reads and writes.

    Args:
      instruction: a kernel.
      computation: the computation with the instruction and its operands.
      program: the program, which has the bodies of its fusions.
    """
    shapes = {
        name: computation.instructions[name].shape
        for name in instruction.operands
        if name in computation.instructions
    }
    if instruction.opcode.endswith("-start"):  # operands are listed among the results
        return _started(instruction, shapes)
    body = None
    if instruction.opcode == "fusion":
        body = next((program.computations.get(n) for n in called(instruction, "calls")), None)
    reads = 0
    for name, shape in shapes.items():  # each operand once, even if it is given twice
        positions = [at for at, other in enumerate(instruction.operands) if other == name]
        whole = size(shape)
        if body is None:
            read = sum(_read(instruction, at, whole, computation) for at in positions)
        else:
            read = sum(_read_by_fusion(body, at, whole) for at in positions)
        reads += min(whole, read)
    return reads + _written(instruction, computation, body)


def _started(instruction: Instruction, shapes: Mapping[str, str]) -> int:
    """Bytes that an asynchronous instruction reads and writes; its result lists its operands."""
    whole = size(instruction.shape)
    if instruction.opcode.removesuffix("-start") in SLICES:  # ((operand, ...), slice, context)
        taken = arrays(instruction.shape)[-2]
        return taken.bytes * (2 if taken.main else 1)
    if instruction.opcode == "all-reduce-start":  # lists its result only
        return whole + sum(size(shape) for shape in shapes.values())
    return whole


def _read(instruction: Instruction, at: int, whole: int, computation: Computation) -> int:
    """Bytes that an instruction reads of its operand number `at`, whose size is `whole`."""
    if at == 0 and instruction.opcode in SLICES:
        return min(whole, size(instruction.shape))
    if at == 0 and instruction.opcode == "dynamic-update-slice":
        return 0
    if at == 0 and instruction.opcode == "scatter":
        return min(whole, _updated(instruction, computation))
    return whole


def _read_by_fusion(body: Computation, number: int, whole: int) -> int:
    """Bytes that a fusion reads of an operand, from the uses of that parameter in its body."""
    for instruction in body.instructions.values():
        if instruction.opcode == "parameter" and instruction.text == str(number):
            return min(whole, _read_of(body, instruction.name, whole))
    return whole


def _read_of(body: Computation, name: str, whole: int) -> int:
    """Bytes that the users of an array in a fusion's body read of it."""
    if name == body.root:
        return whole
    total = 0
    for user in body.instructions.values():
        for at, operand in enumerate(user.operands):
            if operand != name or total >= whole:
                continue
            if user.opcode == "bitcast":
                total += _read_of(body, user.name, whole)
            else:
                total += _read(user, at, whole, body)
    return total


def _written(instruction: Instruction, computation: Computation, body: Computation | None) -> int:
    """Bytes that an instruction writes."""
    if body is not None:
        root = body.instructions.get(body.root)
        return min(size(instruction.shape), _written_by(root, body) if root else 2**63)
    if instruction.opcode in UPDATES:
        return min(size(instruction.shape), _updated(instruction, computation))
    results = arrays(instruction.shape)
    target = _TARGET.search(instruction.rest)
    if target and target[1].startswith(_LIBRARIES) and len(results) > 1:
        # the last of several results is the library's workspace
        results = results[:-1] if results[-1].dtype in ("s8", "u8") else results
    return sum(array.bytes for array in results if array.main)


def _written_by(root: Instruction, body: Computation) -> int:
    """Bytes that a fusion with this root writes."""
    if root.opcode in ("tuple", "bitcast"):
        inner = [body.instructions[name] for name in root.operands if name in body.instructions]
        return sum(_written_by(each, body) for each in inner)
    if root.opcode in UPDATES:
        return min(size(root.shape), _updated(root, body))
    return size(root.shape)


def _updated(instruction: Instruction, computation: Computation) -> int:
    """Size of the update that an instruction writes into its first operand, in bytes."""
    at = UPDATES[instruction.opcode]
    if at >= len(instruction.operands):
        return size(instruction.shape)
    update = computation.instructions.get(instruction.operands[at])
    return size(update.shape) if update else size(instruction.shape)
