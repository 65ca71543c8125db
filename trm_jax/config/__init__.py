"""Reads a config file or config.json into a checked `Experiment`."""
