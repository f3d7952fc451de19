"""The benchmarks that systems are compared on; each becomes a dataset with the split "test" alone.

    python -m data.prepare im2gps3k --source PHOTOS --table im2gps3k_places365.csv --out datasets

Tables are GeoEstimation's (`IMG_ID,AUTHOR,LAT,LON,S3_Label,...`) or others with columns of recognised names.
Numbers of photos are those of the tables that everybody's results rest on.
"""

from collections.abc import Sequence

from geosurge_jax.importing.photo_set import PhotoSet

_TEST = {"test": 1.0}
_FLICKR = "Creative Commons and others, each photo its own"

BENCHMARKS: Sequence[PhotoSet] = (
    PhotoSet(
        name="im2gps",
        photos=237,
        remark="",
        fractions=_TEST,
        description="Im2GPS's test set (Hays and Efros, CVPR 2008).",
        licence=_FLICKR,
    ),
    PhotoSet(
        name="im2gps3k",
        photos=2_997,
        remark="of 3,000 photos 3 are not in the table",
        fractions=_TEST,
        description="Im2GPS3k (Vo, Jacobs and Hays, ICCV 2017).",
        licence=_FLICKR,
    ),
    PhotoSet(
        name="yfcc4k",
        photos=4_536,
        remark="",
        fractions=_TEST,
        description="YFCC4k (Vo, Jacobs and Hays, ICCV 2017).",
        licence=_FLICKR,
    ),
    PhotoSet(
        name="yfcc26k",
        photos=25_600,
        remark="",
        fractions=_TEST,
        description="YFCC26k, the validation set of ISNs (Theiner et al., WACV 2022).",
        licence=_FLICKR,
    ),
    PhotoSet(
        name="gws15k",
        photos=14_955,
        remark="never published; photos are your own by its coordinates",
        fractions=_TEST,
        description="Google-World-Streets-15k (Clark et al., CVPR 2023).",
        licence="not stated",
    ),
)
