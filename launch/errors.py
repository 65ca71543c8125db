"""The error for users' mistakes, and the exit codes that `trm train` and the launcher share."""

DONE, MISTAKE, NON_FINITE, RESTART = 0, 2, 3, 42


class LaunchError(Exception):
    """A user's mistake; its message is one sentence with the file, key or value and the remedy.

    The command line prints the message without a traceback, and exits with code 2.
    """
