"""YAML to be read by people: texts of several lines as blocks, and nothing by reference."""

from typing import Any

import yaml


class Dumper(yaml.SafeDumper):
    """As PyYAML's, with the two differences."""

    def ignore_aliases(self, data: Any) -> bool:
        """Writes a value out wherever it stands."""
        return True

    def represent_str(self, text: str) -> yaml.ScalarNode:
        """One text."""
        style = "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, Dumper.represent_str)


def dump(data: Any) -> str:
    """One document."""
    return str(yaml.dump(data, Dumper=Dumper, sort_keys=False, width=100))
