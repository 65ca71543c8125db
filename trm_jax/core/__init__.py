"""The legend, numbers, errors, files, and the devices that all else runs on."""
