"""Keeps secrets out of what is rendered: job files name them, they never hold them."""

import re
from collections.abc import Iterable, Mapping

from .errors import LaunchError

WORDS = r"(?:tokens?|secrets?|passwords?|passwd|api[_-]?keys?|credentials?|private[_-]?key)"
ENVIRONMENT = re.compile(rf"(?:^|_){WORDS}(?:_|$)|_KEY$", re.IGNORECASE)
FLAG = re.compile(r"--(?:[\w.-]*[._-])?(?:token|secret|password|passwd|api[_-]?key)=.", re.I)
VALUES = (
    re.compile(r"://[^/\s:@]*:[^/\s@]+@"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    re.compile(r"\b(?:gh[opsu]|hf|sk)_[A-Za-z0-9]{20,}"),
    re.compile(r"\bAIza[A-Za-z0-9_-]{30,}"),
)


def check_environment(environment: Mapping[str, str]) -> None:
    """Refuses variables whose name or value looks like a secret.

    Raises:
      LaunchError: the variable's name is in the sentence, its value is not.
    """
    for name, value in environment.items():
        if ENVIRONMENT.search(name) or looks_secret(value):
            raise LaunchError(
                f"environment: {name} looks like a secret, and what is rendered may be read by "
                f"others; put the name {name} under `secrets:` and leave its value out of the file."
            )


def check_text(where: str, texts: Iterable[str]) -> None:
    """Refuses words that carry a secret, such as a password within an address.

    Raises:
      LaunchError: names the place, not the secret.
    """
    for text in texts:
        if looks_secret(text) or FLAG.match(text):
            raise LaunchError(
                f"{where}: one of the words looks like it holds a secret; pass it as an "
                "environment variable and put that variable's name under `secrets:`."
            )


def looks_secret(text: str) -> bool:
    """Whether a text looks like a password in an address, a private key or a well-known token."""
    return any(pattern.search(text) for pattern in VALUES)
