"""What each `trm` command takes, does and prints; one file a command."""
