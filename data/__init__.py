"""How an archive on disk becomes ArrayRecord shards: one file a dataset."""
