"""With --reached: how close each component came, as a table for docs/background/parity.md."""

from collections import defaultdict

import pytest


@pytest.fixture(scope="module", autouse=True)
def as_for_users(compiled_as_for_users):
    """Parity is that of the programs that users run."""


def pytest_terminal_summary(terminalreporter, config):
    if not config.getoption("--reached"):
        return
    worst = defaultdict(float)
    for report in terminalreporter.stats.get("passed", ()):
        for name, value in report.user_properties:
            if name == "reached":
                dtype, errors = value
                for component, error in errors.items():
                    worst[component, dtype] = max(worst[component, dtype], error)
    terminalreporter.write_line("| component | float64, all steps | float32, first step |")
    terminalreporter.write_line("|---|---|---|")
    for component in dict.fromkeys(component for component, _ in worst):
        cells = [
            f"{worst[component, dtype]:.0e}" if (component, dtype) in worst else "not compared"
            for dtype in ("float64", "float32")
        ]
        terminalreporter.write_line(f"| {component} | {' | '.join(cells)} |")
