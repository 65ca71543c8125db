"""Parses the HLO text of a compiled program into computations, instructions and arrays."""

import math
import re
from typing import NamedTuple

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.*?) ([a-z][\w\-]*)\((.*)$")
_NAME = re.compile(r"%([\w.\-]+)")
_COMMENT = re.compile(r"/\*.*?\*/")  # numbers the parts of long tuples
_ARRAY = re.compile(r"\b(pred|[a-z]+[0-9]+[a-z0-9]*)\[([0-9,]*)\](\{[^}]*\})?")
_ELSEWHERE = re.compile(r"S\([1-9]")


class Array(NamedTuple):
    """An array of a shape.

    Attributes:
      dtype: in XLA's notation: pred, bf16, s32, f8e4m3fn, c64.
      bytes: size of its elements, without padding.
      main: whether it is in the device's main memory, not in another such as a TPU's VMEM.
    """

    dtype: str
    bytes: int
    main: bool


class Instruction(NamedTuple):
    """One line of a computation.

    Attributes:
      name: name without the percent sign.
      shape: shape of the result in XLA's notation; a tuple is in parentheses.
      opcode: for example "fusion".
      operands: names of the operands.
      rest: text after the operands: attributes, metadata and backend configuration.
      text: text between the parentheses; for a parameter its number.
    """

    name: str
    shape: str
    opcode: str
    operands: tuple[str, ...]
    rest: str
    text: str


class Computation(NamedTuple):
    """A sequence of instructions.

    Attributes:
      instructions: instructions by name, in the order of the text.
      root: name of the instruction whose result is the computation's.
    """

    instructions: dict[str, Instruction]
    root: str


class Hlo(NamedTuple):
    """A whole program.

    Attributes:
      computations: computations by name.
      entry: name of the entry computation.
    """

    computations: dict[str, Computation]
    entry: str


def parse(text: str) -> Hlo:
    """Parses a program's text; unknown lines are skipped."""
    computations: dict[str, Computation] = {}
    entry, name = "", ""
    for line in text.splitlines():
        head = _COMPUTATION.match(line)
        if head:
            name = head[2]
            entry = name if head[1] else entry
            computations[name] = Computation({}, "")
            continue
        found = _INSTRUCTION.match(_COMMENT.sub("", line)) if name else None
        if found:
            inside, rest = _closed(found[5])
            operands = tuple(_NAME.findall(inside))
            made = Instruction(found[2], found[3], found[4], operands, rest, inside)
            computations[name].instructions[made.name] = made
            if found[1]:
                computations[name] = computations[name]._replace(root=made.name)
    return Hlo(computations, entry)


def _closed(text: str) -> tuple[str, str]:
    """Splits a text at the parenthesis that closes an open one: the text before and after it."""
    depth = 1
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return text[:at], text[at + 1 :]
    return text, ""


def called(instruction: Instruction, attribute: str) -> list[str]:
    """Names of the computations in an attribute of an instruction, one or several in braces."""
    found = re.search(rf"\b{attribute}=(\{{[^}}]*\}}|%[\w.\-]+)", instruction.rest)
    return _NAME.findall(found[1]) if found else []


def trips(loop: Instruction, program: Hlo) -> int:
    """Number of iterations of a loop; 0 if neither XLA nor the loop's condition shows it.

    The condition shows it by comparing a counter with a constant ("less than"); loops of JAX count
    from 0 in steps of 1.
    """
    found = re.search(r"known_trip_count\D*(\d+)", loop.rest)
    if found:
        return int(found[1])
    condition = program.computations.get((called(loop, "condition") or [""])[0])
    last = condition.instructions.get(condition.root) if condition else None
    if condition is None or last is None or last.opcode != "compare" or len(last.operands) != 2:
        return 0
    limit = condition.instructions.get(last.operands[1])
    is_limit = limit is not None and limit.opcode == "constant" and limit.text.isdigit()
    return int(limit.text) if limit and is_limit and "direction=LT" in last.rest else 0


def arrays(shape: str) -> list[Array]:
    """The arrays of a shape, including those in nested tuples."""
    found = []
    for dtype, sides, layout in _ARRAY.findall(shape):
        count = math.prod(int(side) for side in sides.split(",") if side)
        # 8 bits if the name has no number, as for pred
        width = int((re.findall(r"\d+", dtype) or ["8"])[0])
        found.append(Array(dtype, count * width // 8, not _ELSEWHERE.search(layout)))
    return found


def size(shape: str) -> int:
    """Size of a shape in the device's main memory, in bytes."""
    return sum(array.bytes for array in arrays(shape) if array.main)
