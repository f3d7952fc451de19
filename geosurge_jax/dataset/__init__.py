"""The record format: what a record holds, the manifest, and how datasets are read, written and rewritten."""
