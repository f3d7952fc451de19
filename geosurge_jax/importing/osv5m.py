"""OpenStreetView-5M (Astruc et al., CVPR 2024): 5.1 million street views of Mapillary.

    python -m data.prepare osv5m --source images/train --table train.csv --out datasets
    python -m data.prepare osv5m_test --source images/test --table test.csv --out datasets

Photos lie in numbered zips (`images/train/00.zip`, `images/test/00.zip`), which are read in place. The
published validation set is a weighted sample of single photos; here a tenth is held out by place, so that no
street is in two splits.

A column `quadtree_N_M`, which the authors' preprocessing adds to both tables, is passed over: its cells are
rectangles between parallels and meridians, ours are cells of S2 (`docs/data.md`).
"""

from collections.abc import Sequence

from geosurge_jax.importing.photo_set import PhotoSet

_LICENCE = "CC BY-SA 4.0"

OSV5M: Sequence[PhotoSet] = (
    PhotoSet(
        name="osv5m",
        photos=None,
        remark="with the test photos more than 5.1 million were published",
        fractions={"train": 0.9, "validation": 0.1},
        description="OpenStreetView-5M, training photos.",
        licence=_LICENCE,
    ),
    PhotoSet(
        name="osv5m_test",
        photos=None,
        remark="with the training photos more than 5.1 million were published",
        fractions={"test": 1.0},
        description="OpenStreetView-5M, test photos.",
        licence=_LICENCE,
    ),
)
