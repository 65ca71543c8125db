"""The table of experiments/plan.md from the stored facts: python -m tests.aot.plan_table."""

from tests.aot.cases import stored

GIB = 2**30


def lines():
    """One line for each case."""
    return [line(case, facts) for case, facts in stored().items()]


def line(case, facts):
    """The line of a case."""
    config, name = case.split()
    train, evaluation = facts["programs"]["train"], facts["programs"]["evaluation"]
    settings = "as configured"
    if not train["fits"]:
        remedy = facts["remedies"]["train"]
        changes = " ".join(f"--config.{key}={value}" for key, value in remedy["changes"].items())
        settings = f"`{changes}` ({remedy['facts']['memory']['peak'] / GIB:.1f} GiB)"
        train = train | {"collectives": remedy["facts"]["collectives"]}
    exchanges = ", ".join(
        f"{each['count']} {kind} ({each['bytes'] / 1e6:.1f} MB)"
        for kind, each in train["collectives"].items()
    )
    cells = (
        f"`{config.replace(':', '.py:')}`",
        name,
        f"{train['memory']['peak'] / GIB:.1f} of {train['available'] / GIB:.2f} GiB",
        "yes" if train["fits"] else "no",
        settings,
        f"{evaluation['memory']['peak'] / GIB:.1f} GiB",
        exchanges,
        f"{1000 * train['bound']['seconds']:.1f} ms",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print("\n".join(lines()))
