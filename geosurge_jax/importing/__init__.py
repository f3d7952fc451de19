"""Archives of millions of photos and a table of their places -> the shards of a dataset, resumably.

Rows of the table become columns on disk (`photo_rows`). Every unit of the archive becomes a chunk of
serialised records (`scatter`); from the chunks' indexes follows which record stands where in which shard
(`plan`); every shard is written from the chunks (`gather`). Units and shards know nothing of each other, so
that any number of processes or machines makes them (`runners`), in any order, to the same bytes.
"""
