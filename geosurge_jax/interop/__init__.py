"""Models in the formats of others, by path name: no config and no mesh is needed to read them."""
