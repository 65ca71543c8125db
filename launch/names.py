"""Names that every engine takes: lower case, DNS-safe, short, and still distinct."""

import hashlib
import re

LIMIT = 40
"""Characters. Kubernetes allows 63 in a pod's name, and JobSet appends up to 23 of its own."""

SAFE = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")


def is_safe(name: str, limit: int = LIMIT) -> bool:
    """Whether every engine takes the name as it is."""
    return len(name) <= limit and SAFE.fullmatch(name) is not None and "--" not in name


def safe(name: str, limit: int = LIMIT) -> str:
    """A name that every engine takes.

    A safe name stays as it is. Any other is rewritten and gets six hexadecimal digits of its hash,
    so that "T=1" and "T-1" stay two names.
    """
    if is_safe(name, limit):
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:6]
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not plain[:1].isalpha():
        plain = f"x-{plain}"
    return f"{plain[: limit - 7].strip('-')}-{digest}"


def label(value: str) -> str:
    """A value for a Kubernetes or Google Cloud label: 63 of a-z, 0-9, '-' and '_' at most."""
    return re.sub(r"[^a-z0-9_-]+", "-", value.lower())[:63].strip("-_") or "none"
