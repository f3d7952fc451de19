"""The published architectures whose files are read and written, one module each."""
