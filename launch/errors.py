"""A user's mistake, and the exit codes that `trm train` and the launcher share."""

DONE, MISTAKE, NON_FINITE, RESTART = 0, 2, 3, 42


class LaunchError(Exception):
    """One clear sentence: which file, key or value, and what would be right.

    The command line prints it without a traceback and ends with exit code 2.
    """
