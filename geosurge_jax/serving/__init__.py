"""Photos in, coordinates out, from a trained checkpoint."""
