"""The oracles that need torch and transformers."""

from tests.parity import (
    oracles_convolutional,
    oracles_geoclip,
    oracles_image,
    oracles_location,
    oracles_segmentation,
    oracles_text,
    oracles_tokenizer,
    oracles_vit,
)

# Each makes its oracles anew; whole text encoders are run on the ids of tokenizers that are already frozen.
ORACLES = (
    oracles_tokenizer.tokenizer_oracles,
    oracles_text.oracles,
    oracles_location.oracles,
    oracles_geoclip.oracles,
    oracles_vit.oracles,
    oracles_convolutional.oracles,
    oracles_segmentation.oracles,
    oracles_image.oracles,
)
