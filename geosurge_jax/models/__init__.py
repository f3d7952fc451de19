"""Reusable Flax parts. Modules know no mesh; the only word they share with it is the axis `data`."""
