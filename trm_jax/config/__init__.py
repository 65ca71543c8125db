"""From a config file or a config.json to a checked experiment."""
