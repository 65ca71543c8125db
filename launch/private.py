"""Keeps secrets out of rendered files: job files have the names of secrets, never their values."""

import re
from collections.abc import Iterable, Iterator, Mapping

from .errors import LaunchError

WORDS = r"(?:tokens?|secrets?|passwords?|passwd|api[_-]?keys?|credentials?|private[_-]?key)"
ENVIRONMENT = re.compile(rf"(?:^|_){WORDS}(?:_|$)|_KEY$", re.IGNORECASE)
NAMED = r"(?:[\w.-]*[._-])?(?:token|secret|password|passwd|passphrase|api[_-]?key|access[_-]?key)"
PLAIN = r"(?!['\"]?(?:\$|`|true\b|false\b|none\b|null\b|[\d.]+(?:['\"\s]|$)))"
"""Matches if a reference to a variable or command, a flag or a number does not follow."""
FLAG = re.compile(rf"(?<![\w-])--?{NAMED}(?:=|\s+){PLAIN}[^\s-]", re.IGNORECASE)
FLAG_ALONE = re.compile(rf"--?{NAMED}", re.IGNORECASE)
ASSIGNED = re.compile(
    rf"(?<![\w.$-])[A-Za-z_]*(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)={PLAIN}['\"]?[^\s'\"]",
    re.IGNORECASE,
)
VALUES = (
    re.compile(r"://[^/\s:@]*:[^/\s@]+@"),
    re.compile(r"://(?=[^/\s:@]*\d)[^/\s:@]{16,}@"),
    re.compile(r"[?&](?:[\w-]*token|key|api[_-]?key|sig|signature|password|secret)=[^&\s]", re.I),
    re.compile(r"\bauthorization:\s*(?:bearer|basic|token)\s+(?![\"']?\$)\S", re.I),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    re.compile(r"\b(?:gh[oprsu]|hf|sk|rk|pk|npm)_(?:live_|test_)?[A-Za-z0-9]{16,}"),
    re.compile(r"\bgithub_pat_\w{20,}"),
    re.compile(r"\bglpat-[\w-]{16,}"),
    re.compile(r"\bxox[a-z]-[\w-]{8,}"),
    re.compile(r"\bsk-[A-Za-z0-9_-]{16,}"),
    re.compile(r"\bwandb_v\d_\w{16,}"),
    re.compile(r"\bpypi-[\w-]{16,}"),
    re.compile(r"\bdckr_pat_[\w-]{16,}"),
    re.compile(r"\b(?:AKIA|ASIA|AROA)[A-Z0-9]{12,}"),
    re.compile(r"\bAIza[A-Za-z0-9_-]{30,}"),
    re.compile(r"\bya29\.[\w-]{16,}"),
    re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}"),
    # an API key of wandb; commits of git have the same length, but follow these words
    re.compile(r"(?<![\w@/=-])(?<!checkout )(?<!commit )(?<!--hard )[0-9a-f]{40}(?![\w/.-])"),
    re.compile(r"(?<==)(?<!commit=)(?<!sha=)(?<!revision=)(?<!rev=)[0-9a-f]{40}(?![\w/.-])"),
)
COMMIT = ("code", "commit")
"""The only key of a job file that may have 40 hexadecimal digits."""


def check_environment(environment: Mapping[str, str]) -> None:
    """Refuses variables whose name or value looks like a secret.

    Raises:
      LaunchError: names the variable, without its value.
    """
    for name, value in environment.items():
        if ENVIRONMENT.search(name) or looks_secret(value):
            raise LaunchError(
                f"environment: {name} looks like a secret, and others may read rendered files; put "
                f"the name {name} under `secrets:` and leave its value out of the file."
            )


def check_text(where: str, texts: Iterable[str]) -> None:
    """Refuses words that contain a secret, such as a password in an address.

    Raises:
      LaunchError: names the position in the file, without the secret.
    """
    words = list(texts)
    pairs = zip(words, [*words[1:], "-"], strict=False)
    waits = any(FLAG_ALONE.fullmatch(word) and not after.startswith("-") for word, after in pairs)
    if waits or any(looks_secret(word) for word in words):
        raise LaunchError(
            f"{where}: one of the words looks like a secret; pass it as an environment variable, "
            "and put that variable's name under `secrets:`."
        )


def check_all(raw: object) -> None:
    """Refuses secrets in any text of a job file, including keys.

    Args:
      raw: the value that YAML gave.

    Raises:
      LaunchError: names the position in the file, without the secret.
    """
    for place, texts in _texts(raw, ()):
        if place == COMMIT or place[:1] == ("environment",):  # see `check_environment`
            continue
        check_text(": ".join(place) or "the file", texts)


def looks_secret(text: str) -> bool:
    """Whether a text looks like a password in an address, a private key or a well-known token."""
    return any(pattern.search(text) for pattern in (*VALUES, FLAG, ASSIGNED))


def _texts(value: object, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yields texts with their position; those of a list together, since flags precede values."""
    if isinstance(value, str):
        yield place, [value]
    elif isinstance(value, Mapping):
        yield place, [str(key) for key in value if isinstance(key, str)]
        for key, inner in value.items():
            named = key if isinstance(key, str) and not looks_secret(key) else "a key"
            yield from _texts(inner, (*place, named))
    elif isinstance(value, list):
        yield place, [word for word in value if isinstance(word, str)]
        for inner in value:
            if isinstance(inner, list | Mapping):
                yield from _texts(inner, place)
