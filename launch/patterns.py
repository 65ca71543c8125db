"""Limits on the values of a job file: patterns for words, bounds for numbers and texts."""

import re
import reprlib

from .errors import LaunchError

LONGEST, LARGEST = 10_000, 1_000_000
"""Maximum number of characters of a text and largest integer, for keys without their own limit."""
UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
"""Control characters and others that shells, YAML readers or terminals do not pass on unchanged."""

WORD = (r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "letters, digits, '.', '_' and '-'")
WORDS = (r"[A-Za-z0-9][A-Za-z0-9._,-]{0,250}", "letters, digits, '.', '_', '-' and ','")
DNS = (r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", "letters, digits, '.' and '-'")
PATH = (r"/[A-Za-z0-9._@+=:,~/-]*", "an absolute path of letters, digits and '._@+=:,~/-'")
VARIABLE_PATH = (
    r"(?!-)(~|\$HOME|\$\{HOME\}|\$[A-Z_]+)?/?[A-Za-z0-9._@+=:,/-]+",
    "a path of letters, digits and '._@+=:,/-', which may begin with $HOME",
)
FIELDS: dict[str, tuple[str, str]] = {
    "code.image": (r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,400}", "an image's name and tag"),
    "code.extra": (r"[A-Za-z0-9][A-Za-z0-9_,-]{0,60}", "a name such as tpu or cuda"),
    "code.repository": (
        r"(?!.*::)[A-Za-z0-9._~/][A-Za-z0-9._~:/@%+-]*",
        "an address such as https://github.com/ME/trm_jax.git",
    ),
    "tpu.zone": WORD,
    "tpu.project": (r"[A-Za-z][A-Za-z0-9.:-]{0,62}", "a project's name, such as my-project-1"),
    "tpu.image": WORD,
    "tpu.service_account": (r"[A-Za-z0-9][A-Za-z0-9._@-]{0,200}", "an account's e-mail address"),
    "tpu.network": (r"[A-Za-z0-9][A-Za-z0-9._/-]{0,200}", "a network's name or path"),
    "gke.accelerator": WORD,
    "gke.namespace": DNS,
    "gke.queue": DNS,
    "gke.service_account": DNS,
    "gke.secret": DNS,
    "gke.claim": DNS,
    "gke.mount": PATH,
    "slurm.partition": WORDS,
    "slurm.account": WORDS,
    "slurm.constraint": (r"[A-Za-z0-9\[(][A-Za-z0-9._,&|*()\[\]@:-]{0,250}", "features' names"),
    "slurm.memory": (r"[0-9]{1,12}[KMGTkmgt]?", "a number with K, M, G or T: 64G"),
    "slurm.directory": PATH,
    "slurm.secrets_file": VARIABLE_PATH,
    "sky.accelerators": (r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}(:[0-9]{1,5})?", "a name such as H100:8"),
    "sky.infra": (r"[A-Za-z0-9*][A-Za-z0-9._/*-]{0,200}", "a cloud and region: gcp/us-central1"),
}
"""Pattern and description by section and key. Other keys are free text, quoted when rendered."""


def check_fields(section: str, values: dict[str, object]) -> None:
    """Refuses values of a section that do not match their key's pattern.

    Raises:
      LaunchError: names the key, and describes its values.
    """
    for key, value in values.items():
        pattern, meaning = FIELDS.get(f"{section}.{key}", ("", ""))
        if pattern and isinstance(value, str) and not re.fullmatch(pattern, value):
            raise LaunchError(f"{section}: {key} {shown(value)} must be {meaning}.")


def check_text(where: str, text: str) -> None:
    """Refuses a text that is too long or has characters of `UNFIT`.

    Raises:
      LaunchError: names the position in the file.
    """
    if len(text) > LONGEST:
        raise LaunchError(f"{where} has {len(text)} characters; give at most {LONGEST}.")
    if found := UNFIT.search(text):
        raise LaunchError(f"{where} has the character {found[0]!r}; leave it out.")


def check_number(where: str, number: int) -> None:
    """Refuses a number that is too large in magnitude.

    Raises:
      LaunchError: names the position in the file.
    """
    if abs(number) > LARGEST:
        raise LaunchError(f"{where} is {shown(number)}; give at most {LARGEST}.")


def shown(value: object) -> str:
    """A short `repr` of a value."""
    brief = reprlib.Repr()
    brief.maxstring = brief.maxother = 80
    try:
        return brief.repr(value)
    except (ValueError, RecursionError):  # an integer with too many digits to print
        return f"a {type(value).__name__} too large to print"
