"""A config made into data, geocells, system and mesh, and the modes of run.py."""
