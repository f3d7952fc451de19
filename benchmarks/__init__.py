"""One script a figure: `python -m benchmarks.NAME`; each prints ours and a ceiling or a peer in one run."""
