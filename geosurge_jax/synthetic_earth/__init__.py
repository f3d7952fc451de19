"""The synthetic Earth: a generated world with rendered images, exact segmentation maps and coordinates."""
