"""Names that are valid for all engines: lower case, DNS-safe, short, and distinct."""

import hashlib
import re

LIMIT = 40
"""Maximum length: Kubernetes allows 63 characters in a pod's name, and JobSet appends up to 23."""

SAFE = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")


def is_safe(name: str, limit: int = LIMIT) -> bool:
    """Whether a name is valid for all engines as it is."""
    return len(name) <= limit and SAFE.fullmatch(name) is not None and "--" not in name


def safe(name: str, limit: int = LIMIT) -> str:
    """A name that is valid for all engines.

    A valid name is unchanged. Any other is rewritten, with six hexadecimal digits of its hash, so
    that "T=1" and "T-1" remain distinct.
    """
    if is_safe(name, limit):
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:6]
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not plain[:1].isalpha():
        plain = f"x-{plain}"
    return f"{plain[: limit - 7].strip('-')}-{digest}"


def label(value: str) -> str:
    """A valid label of Kubernetes and Google Cloud: at most 63 of a-z, 0-9, '-' and '_'."""
    return re.sub(r"[^a-z0-9_-]+", "-", value.lower())[:63].strip("-_") or "none"
