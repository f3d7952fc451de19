"""The oracles that need torch and transformers."""

from tests.parity import oracles_vit

# Each makes its oracles anew.
ORACLES = (oracles_vit.oracles,)
