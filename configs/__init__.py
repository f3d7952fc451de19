"""One file a system; each returns a locked ConfigDict from get_config(variant)."""
