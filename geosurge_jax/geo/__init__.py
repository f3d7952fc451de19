"""The sphere: distances, S2 cells, partitions and hierarchies of geocells, coarse land, place names.

NumPy, and SciPy for nearest towns.

`latlng` is always degrees, latitude first, [..., 2].
"""

from geosurge_jax.geo.cells_csv import export_partition_csv, import_partition_csv
from geosurge_jax.geo.distance import (
    COMPARISONS,
    DISTANCE_PROTOCOLS,
    DistanceProtocol,
    within,
)
from geosurge_jax.geo.hierarchy import (
    DEFAULT_MAX_IMAGES,
    DEFAULT_MIN_IMAGES,
    Hierarchy,
    build_hierarchy,
    link_partitions,
)
from geosurge_jax.geo.land import CONTINENTS, continent_of, land_outlines, on_land
from geosurge_jax.geo.overlapping import (
    OverlappingSets,
    grow_overlapping_sets,
    sets_from_arrays,
)
from geosurge_jax.geo.partition import Partition, build_partition
from geosurge_jax.geo.place_names import PlaceName, name_places
from geosurge_jax.geo.places_csv import read_places_csv
from geosurge_jax.geo.planned import planned_hierarchy
from geosurge_jax.geo.s2 import (
    cell_centers,
    cell_levels,
    cell_outlines,
    cell_tokens,
    check_latlng,
    ids_from_tokens,
    leaf_ids,
    leaf_ranges,
    parent_ids,
)
from geosurge_jax.geo.sphere import (
    EARTH_RADIUS_KM,
    great_circle_km,
    latlng_from_unit_vectors,
    spherical_mean,
    unit_vectors,
)
from geosurge_jax.geo.storage import atomic_file, load_hierarchy, save_hierarchy

__all__ = [
    "COMPARISONS",
    "CONTINENTS",
    "DEFAULT_MAX_IMAGES",
    "DEFAULT_MIN_IMAGES",
    "DISTANCE_PROTOCOLS",
    "EARTH_RADIUS_KM",
    "DistanceProtocol",
    "Hierarchy",
    "OverlappingSets",
    "Partition",
    "PlaceName",
    "atomic_file",
    "build_hierarchy",
    "build_partition",
    "cell_centers",
    "cell_levels",
    "cell_outlines",
    "cell_tokens",
    "check_latlng",
    "continent_of",
    "export_partition_csv",
    "great_circle_km",
    "grow_overlapping_sets",
    "ids_from_tokens",
    "import_partition_csv",
    "land_outlines",
    "latlng_from_unit_vectors",
    "leaf_ids",
    "leaf_ranges",
    "link_partitions",
    "load_hierarchy",
    "name_places",
    "on_land",
    "parent_ids",
    "planned_hierarchy",
    "read_places_csv",
    "save_hierarchy",
    "sets_from_arrays",
    "spherical_mean",
    "unit_vectors",
    "within",
]
