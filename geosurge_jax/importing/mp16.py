"""MP-16 (Larson et al., MediaEval Placing Task 2016): 4.72 million geotagged Flickr photos, to train on.

    python -m data.prepare mp16 --source PHOTOS --table mp16_places365.csv --out datasets

`PHOTOS` is whatever form the photos have: a folder tree, MessagePack shards (`shard_0.msg`), one tar or its
split parts (MP16-Pro), WebDataset tars, or what `python -m data.download` fetched. The table is
GeoEstimation's `mp16_places365.csv` or MP16-Pro's, whose columns are recognised.
"""

from geosurge_jax.importing.photo_set import PhotoSet

MP16 = PhotoSet(
    name="mp16",
    photos=None,
    remark="4.72 million were published, and many links are dead today",
    # The publications validate on YFCC26k; a hundredth by author, so that a run needs no second dataset.
    fractions={"train": 0.99, "validation": 0.01},
    description="MP-16: geotagged photos of Flickr from YFCC100M, MediaEval Placing Task 2016.",
    licence="Creative Commons, each photo its own",
)
