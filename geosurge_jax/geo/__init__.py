"""The sphere."""
