"""What a run needs of hardware that is not there: compiled programs, read and not run."""
