"""Errors that a user can correct, and the exit codes of the command line."""

EXIT_DONE = 0
EXIT_BAD_CONFIG = 2
EXIT_NON_FINITE = 3
EXIT_RESTART_ME = 42
DOES_NOT_FIT = "does not fit into memory"
"""Phrase in the error message for data or a program that exceeds a device's memory."""


class UserError(Exception):
    """An error that the user can correct.

    The message is one sentence that names the file, key or value and the remedy. The command line
    prints it without a traceback and exits with `exit_code`.
    """

    exit_code = EXIT_BAD_CONFIG


class NonFiniteLossError(UserError):
    """The loss or a weight is no longer finite; resuming would reproduce the error."""

    exit_code = EXIT_NON_FINITE
