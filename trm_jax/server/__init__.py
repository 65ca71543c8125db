"""A trained model behind HTTP: continuous batching, a JSON interface, and a page."""
