"""The one loop: mesh, state, optimiser, step, checkpoints. Systems are known by their contract only."""
