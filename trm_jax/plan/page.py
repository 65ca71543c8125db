"""The text of a plan."""

from typing import Any

from trm_jax.plan.estimate import Facts
from trm_jax.plan.remedies import as_flags

_TITLES = {"train": "train step", "evaluation": "evaluation"}


def page(plan: Facts) -> str:
    """The whole plan as text for the terminal.

    Args:
      plan: from `remedies.plan`.
    """
    shape = " x ".join(f"{size} {axis}" for axis, size in plan["mesh"].items())
    blocks = [
        f"{plan['name']} on {plan['accelerator']} ({plan['topology']}): {plan['devices']} devices, "
        f"mesh {shape}; rows of the puzzle table: {plan['table_rows']:,}"
    ]
    for which, facts in plan["programs"].items():
        blocks.append(_program(_TITLES[which], facts))
        if which in plan["remedies"]:
            blocks.append(_remedy(which, plan["remedies"][which], facts["available"]))
    if plan["fits"]:
        blocks.append("It fits.")
    else:
        blocks.append(_verdict(plan["remedies"], plan["programs"]))
    return "\n\n".join(blocks)


def _program(title: str, facts: Facts) -> str:
    lines = [f"{title}, batch {facts['batch']}: memory of each device"]
    for kind, size in facts["memory"].items():
        if kind != "peak":
            lines.append(f"  {kind:24}{_mib(size)}")
    peak, available = facts["memory"]["peak"], facts["available"]
    note = "" if _finished(facts) else "   at least: the compiler stopped there"
    lines.append(f"  {'peak':24}{_mib(peak)}   {peak / available:.1%} of the available{note}")
    lines.append(f"  {'available':24}{_mib(available)}")
    lines.append(f"  {'fits':24}{'yes' if facts['fits'] else 'no':>16}")
    lines.append(f"  {'FLOPs, by formula':24}{facts['flops'] / 1e12:12,.5g} T of all devices")
    return "\n".join([*lines, *_exchanges(facts), *_traffic(facts), *_bound(facts), *_rates(facts)])


def _finished(facts: Facts) -> bool:
    return "program" in facts["memory"]


def _exchanges(facts: Facts) -> list[str]:
    if not _finished(facts):
        return []
    lines = ["  communication between devices (each loop counted once)"]
    for kind, sent in facts["collectives"].items():
        lines.append(f"    {kind:22}{sent['bytes'] / 2**20:12,.2f} MiB in {sent['count']}")
    return lines if facts["collectives"] else ["  no communication between devices"]


def _bound(facts: Facts) -> list[str]:
    parts = ", ".join(
        f"{name} {_ms(seconds)}"
        for name, seconds in facts["bound"].items()
        # the communication of a program that did not compile is unknown
        if name != "seconds" and (name != "interconnect" or _finished(facts))
    )
    return [
        f"  takes at least {_ms(facts['bound']['seconds'])} ms ({parts}): a lower bound from peak "
        "figures, not a forecast"
    ]


def _traffic(facts: Facts) -> list[str]:
    if "traffic" not in facts:
        return []
    found = facts["traffic"]
    once = "; loops of unknown length counted once" if found["unknown_loops"] else ""
    lines = [f"  {'memory traffic':24}{_gb(found['bytes'])} in {found['kernels']:,} kernels{once}"]
    return lines + [f"    {_gb(moved)}  {kind}" for kind, moved in found["kinds"].items()]


def _rates(facts: Facts) -> list[str]:
    """The lines on what bounds the program, and on what to change."""
    if "rates" not in facts:
        return []
    parts = ", ".join(f"{name} {_ms(took)}" for name, took in facts["rates"].items())
    lines = [f"  bounded by {facts['slowest']}: {parts} ms, each by itself at {facts['rates_of']}"]
    return [*lines, *[f"  {sentence}" for sentence in facts["advice"]]]


def _remedy(which: str, remedy: Facts, available: int) -> str:
    lines = [f"{_TITLES[which]}: what makes it fit"]
    for tried in remedy["tried"]:
        lines.append(f"  {as_flags(tried['changes']):44}{_mib(tried['peak'])}   does not fit")
    if remedy["changes"] is None:
        lines.append("  no setting was found; use more devices, or a smaller config.batch_size")
    else:
        peak = remedy["facts"]["memory"]["peak"]
        share = f"{peak / available:.1%} of the available"
        lines.append(f"  {as_flags(remedy['changes']):44}{_mib(peak)}   {share}")
        lines += _bound(remedy["facts"])
    return "\n".join(lines)


def _verdict(remedies: dict[str, Facts], programs: dict[str, Facts]) -> str:
    changes: dict[str, Any] = {}
    for which, facts in programs.items():
        if facts["fits"]:
            continue
        found = remedies.get(which, {}).get("changes")
        if found is None:
            return "It does not fit."
        changes |= found
    return f"It does not fit; it does with\n  {as_flags(changes)}"


def _mib(size: int) -> str:
    return f"{size / 2**20:12,.1f} MiB"


def _gb(size: int) -> str:
    return f"{size / 1e9:12,.2f} GB"


def _ms(seconds: float) -> str:
    """Milliseconds with three significant digits, without an exponent."""
    return f"{float(f'{1000 * seconds:.3g}'):,g}"
