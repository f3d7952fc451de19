"""A generated Earth: place, viewpoint and conditions of the day in, photo and class map out."""
