"""How trm_jax says that something is wrong, and the exit codes that scripts rely on."""

EXIT_DONE = 0
EXIT_BAD_CONFIG = 2
EXIT_NON_FINITE = 3
EXIT_RESTART_ME = 42
DOES_NOT_FIT = "does not fit into memory"
"""Words of the sentence about what a device refuses to hold."""


class UserError(Exception):
    """A mistake that the user can mend.

    The message is one clear sentence that names the file, key or value and says what would be
    right. The command line prints it without a traceback and ends with `exit_code`.
    """

    exit_code = EXIT_BAD_CONFIG


class NonFiniteLossError(UserError):
    """The loss or a weight is no longer finite; restarting would only repeat it."""

    exit_code = EXIT_NON_FINITE
