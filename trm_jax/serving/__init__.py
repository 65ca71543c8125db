"""Uses of trained models: the Python API, exported programs, and the Hugging Face hub."""
