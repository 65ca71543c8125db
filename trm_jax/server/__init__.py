"""`trm serve`: a trained model over HTTP, with continuous batching and a web page."""
