"""Names of oceans and seas from a coarse table of boxes, made for this project.

The boxes follow the usual limits to within a few degrees. They say nothing about where land is: ask
them only about points that are known to be at sea.
"""

import numpy as np

# Name, south, north, west, east in degrees; the first box that holds a point names it.
# West is greater than east where a box crosses the antimeridian.
_BOXES: tuple[tuple[str, float, float, float, float], ...] = (
    ("Caspian Sea", 36.0, 47.5, 46.0, 55.0),
    ("Sea of Azov", 45.3, 47.5, 34.8, 39.5),
    ("Black Sea", 40.9, 47.0, 27.4, 42.0),
    ("Sea of Marmara", 40.2, 41.1, 26.8, 30.0),
    ("Aegean Sea", 35.5, 41.0, 22.5, 27.5),
    ("Adriatic Sea", 40.0, 46.0, 12.0, 20.0),
    ("Mediterranean Sea", 30.0, 41.0, -5.6, 36.5),
    ("Mediterranean Sea", 41.0, 44.6, 0.5, 16.0),
    ("Red Sea", 12.6, 30.0, 32.0, 43.4),
    ("Persian Gulf", 23.8, 30.6, 47.5, 56.4),
    ("Gulf of Aden", 10.3, 15.5, 43.4, 51.3),
    ("Baltic Sea", 53.5, 66.0, 12.7, 30.5),
    ("Bay of Biscay", 43.3, 48.0, -10.0, -1.0),
    ("English Channel", 48.5, 51.0, -5.7, 1.6),
    ("Irish Sea", 51.9, 54.8, -6.5, -2.8),
    ("North Sea", 51.0, 61.0, -2.5, 12.7),
    ("Norwegian Sea", 61.0, 72.0, -8.0, 20.0),
    ("Barents Sea", 68.0, 80.0, 20.0, 66.0),
    ("Greenland Sea", 70.0, 81.0, -25.0, 12.0),
    ("Baffin Bay", 66.5, 78.0, -80.0, -52.0),
    ("Hudson Bay", 51.0, 65.0, -95.5, -77.0),
    ("Labrador Sea", 53.0, 66.5, -65.0, -44.0),
    ("Gulf of Mexico", 18.0, 31.0, -98.0, -81.0),
    ("Caribbean Sea", 15.0, 22.0, -89.0, -61.0),
    ("Caribbean Sea", 10.5, 15.0, -84.7, -61.0),
    ("Caribbean Sea", 9.0, 10.5, -83.4, -61.0),
    ("Caribbean Sea", 7.5, 9.0, -77.2, -76.0),
    ("Gulf of California", 23.0, 32.0, -115.0, -106.5),
    ("Bering Sea", 53.0, 66.0, 163.0, -157.0),
    ("Gulf of Alaska", 55.0, 61.5, -157.0, -135.0),
    ("Sea of Okhotsk", 46.0, 62.5, 135.0, 156.0),
    ("Sea of Japan", 35.0, 52.0, 128.5, 142.0),
    ("Yellow Sea", 33.0, 41.0, 117.0, 127.0),
    ("East China Sea", 25.0, 33.0, 119.5, 130.0),
    ("South China Sea", 0.0, 25.0, 105.0, 119.5),
    ("Gulf of Thailand", 6.5, 13.8, 99.0, 105.0),
    ("Andaman Sea", 5.5, 17.5, 92.5, 99.0),
    ("Bay of Bengal", 5.5, 23.0, 80.0, 92.5),
    ("Arabian Sea", 5.0, 25.7, 51.3, 78.0),
    ("Java Sea", -7.5, -3.0, 105.5, 118.0),
    ("Banda Sea", -8.5, -3.0, 122.0, 132.0),
    ("Timor Sea", -15.0, -8.5, 123.0, 130.5),
    ("Arafura Sea", -12.5, -4.0, 130.5, 142.0),
    ("Gulf of Carpentaria", -18.0, -10.5, 135.0, 142.0),
    ("Coral Sea", -25.0, -9.0, 142.0, 165.0),
    ("Tasman Sea", -47.0, -30.0, 147.0, 173.0),
    ("Southern Ocean", -90.0, -60.0, -180.0, 180.0),
    ("Arctic Ocean", 66.0, 90.0, -180.0, 180.0),
    ("Indian Ocean", -60.0, -30.0, 20.0, 147.0),
    ("Indian Ocean", -30.0, -8.0, 20.0, 130.0),
    ("Indian Ocean", -8.0, 30.0, 20.0, 104.0),
    # The Atlantic ends at the Americas: one box for each stretch of their spine.
    ("South Atlantic Ocean", -60.0, -40.0, -69.0, 20.0),
    ("South Atlantic Ocean", -40.0, 0.0, -70.0, 20.0),
    ("North Atlantic Ocean", 0.0, 18.0, -77.0, 20.0),
    ("North Atlantic Ocean", 18.0, 66.0, -98.0, 20.0),
    ("South Pacific Ocean", -60.0, 0.0, -180.0, 180.0),
    ("North Pacific Ocean", 0.0, 66.0, -180.0, 180.0),
)


def ocean_names(latlng: np.ndarray) -> list[str]:
    """Return the name of the ocean or sea at each point.

    Args:
        latlng: degrees, float `[M, 2]`, in range.

    Returns:
        M names. The boxes cover the sphere, so every point has one.
    """
    latitude, longitude = latlng[:, 0], latlng[:, 1]
    box = np.full(len(latlng), len(_BOXES) - 1)
    for index in range(len(_BOXES) - 1, -1, -1):  # backwards, so that the first match stays
        _, south, north, west, east = _BOXES[index]
        after, before = longitude >= west, longitude <= east
        across = after & before if west <= east else after | before
        box[(latitude >= south) & (latitude <= north) & across] = index
    return [_BOXES[index][0] for index in box]
