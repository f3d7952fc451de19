"""Photos in the shapes they are handed on in, read part by part: one file a shape, one contract."""
