"""The `trm` commands: their flags, actions and output; one module per command."""
