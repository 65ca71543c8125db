"""Writes readable YAML: multi-line texts as blocks, and no references."""

from typing import Any

import yaml


class Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper with these two differences."""

    def ignore_aliases(self, data: Any) -> bool:
        """Writes repeated values in full, without references."""
        return True

    def represent_str(self, text: str) -> yaml.ScalarNode:
        """Represents a text, as a block if it has several lines."""
        style = "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, Dumper.represent_str)


def dump(data: Any) -> str:
    """Dumps one document."""
    return str(yaml.dump(data, Dumper=Dumper, sort_keys=False, width=100))
