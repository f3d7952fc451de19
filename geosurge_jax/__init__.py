"""Worldwide image geo-localization in JAX: one photo in, a probability over the whole Earth out.

geo/         the sphere: distances, S2 ids, partitions, hierarchies (NumPy only)
input/       records on disk -> host batches (Grain)
models/      reusable Flax parts: ViT, semantic tokens, latent fusion, geocell table
systems/     one file a published system: parts + objective + posterior
training/    mesh, state, optimiser, step, loop, checkpoints
evaluation/  posterior -> coordinates -> metrics -> report
experiment/  a config made into data, geocells, system and mesh; the modes of run.py
serving/     photos in, coordinates out, from a trained checkpoint
"""

__version__ = "0.1.0"
