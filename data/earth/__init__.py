"""A generated Earth: from a place, a viewpoint and the conditions of the day to a photo and its exact class map."""
