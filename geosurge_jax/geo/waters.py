"""Names of oceans and large seas by latitude and longitude.

The table is our own and coarse: boxes in degrees for seas, a few broken lines between oceans. It is
meant for a caption ("North Atlantic Ocean"), not for hydrography; its borders may be off by some
hundred kilometres, and gulfs, straits and lakes that it does not list go by the name of the ocean.
"""

import numpy as np

# (name, south, north, west, east) in degrees. The first box that holds a point names it.
_SEAS = (
    ("Southern Ocean", -90.0, -60.0, -180.0, 180.0),
    ("Caspian Sea", 36.0, 48.0, 46.0, 56.0),
    ("Sea of Azov", 45.3, 47.5, 34.8, 39.5),
    ("Black Sea", 40.9, 47.0, 27.4, 42.0),
    ("Baltic Sea", 53.5, 66.0, 10.9, 30.5),
    ("Adriatic Sea", 40.2, 46.0, 12.0, 19.5),
    ("Aegean Sea", 35.5, 41.0, 22.5, 27.4),
    ("Mediterranean Sea", 30.0, 46.0, -5.6, 3.5),
    ("Mediterranean Sea", 30.0, 44.5, 3.5, 36.5),
    ("North Sea", 51.0, 62.0, -2.0, 10.9),
    ("Irish Sea", 52.0, 55.0, -6.3, -2.5),
    ("Bay of Biscay", 43.3, 48.0, -9.0, -1.0),
    ("Norwegian Sea", 62.0, 72.0, -5.0, 16.0),
    ("Greenland Sea", 72.0, 81.0, -20.0, 16.0),
    ("Barents Sea", 68.0, 81.0, 16.0, 60.0),
    ("White Sea", 63.5, 68.0, 30.5, 45.0),
    ("Kara Sea", 68.0, 81.0, 60.0, 100.0),
    ("Laptev Sea", 70.0, 81.0, 100.0, 140.0),
    ("East Siberian Sea", 68.0, 77.0, 140.0, 180.0),
    ("Chukchi Sea", 66.0, 76.0, -180.0, -157.0),
    ("Beaufort Sea", 68.0, 76.0, -157.0, -125.0),
    ("Baffin Bay", 68.0, 78.5, -80.0, -50.0),
    ("Hudson Bay", 51.0, 65.0, -95.5, -76.5),
    ("Labrador Sea", 52.0, 61.0, -65.0, -45.0),
    ("Arctic Ocean", 66.6, 90.0, -180.0, 180.0),
    ("Bering Sea", 53.0, 66.6, 165.0, 180.0),
    ("Bering Sea", 53.0, 66.6, -180.0, -158.0),
    ("Gulf of Alaska", 56.0, 61.0, -158.0, -135.0),
    ("Sea of Okhotsk", 44.5, 62.0, 142.5, 156.0),
    ("Sea of Okhotsk", 50.0, 62.0, 135.0, 164.5),
    ("Sea of Japan", 35.0, 47.0, 127.5, 140.0),
    ("Sea of Japan", 40.5, 50.0, 135.0, 142.0),
    ("Yellow Sea", 33.0, 41.0, 117.0, 126.5),
    ("East China Sea", 25.0, 33.0, 119.0, 129.0),
    ("South China Sea", -3.0, 25.0, 105.0, 119.5),
    ("Gulf of Thailand", 6.0, 13.6, 99.0, 105.0),
    ("Philippine Sea", 8.0, 33.0, 126.0, 143.0),
    ("Sulu Sea", 6.0, 12.0, 119.5, 123.0),
    ("Celebes Sea", 0.5, 6.5, 117.5, 125.5),
    ("Java Sea", -7.5, -3.0, 105.5, 117.0),
    ("Banda Sea", -8.0, -3.0, 122.0, 132.0),
    ("Timor Sea", -14.0, -9.0, 123.0, 131.0),
    ("Arafura Sea", -12.0, -4.0, 131.0, 141.5),
    ("Gulf of Carpentaria", -18.0, -12.0, 135.0, 142.0),
    ("Andaman Sea", 5.5, 17.0, 93.0, 99.0),
    ("Bay of Bengal", 6.0, 23.0, 80.0, 93.0),
    ("Red Sea", 12.6, 30.0, 32.0, 43.4),
    ("Gulf of Aden", 10.5, 15.0, 43.4, 51.0),
    ("Persian Gulf", 23.8, 30.6, 47.5, 56.4),
    ("Gulf of Oman", 22.5, 27.0, 56.4, 61.0),
    ("Arabian Sea", 5.0, 26.0, 51.0, 77.5),
    ("Mozambique Channel", -26.0, -11.5, 34.0, 45.5),
    ("Gulf of Guinea", -1.0, 6.5, -7.5, 10.0),
    ("Gulf of Mexico", 18.0, 31.0, -98.5, -81.5),
    ("Caribbean Sea", 8.7, 9.4, -82.3, -79.95),
    ("Caribbean Sea", 9.4, 11.5, -83.8, -61.0),
    ("Caribbean Sea", 11.5, 16.0, -83.9, -61.0),
    ("Caribbean Sea", 16.0, 22.0, -88.8, -76.0),
    ("Caribbean Sea", 16.0, 18.5, -76.0, -62.0),
    ("Bass Strait", -41.0, -38.5, 143.5, 148.0),
    ("Great Australian Bight", -38.0, -31.0, 124.0, 137.0),
    ("Coral Sea", -25.0, -9.0, 142.0, 163.0),
    ("Tasman Sea", -45.0, -25.0, 149.0, 172.0),
)

# Longitude of the border between two oceans by latitude, both rising.
_AMERICAS = (
    (-60.0, -55.0, -20.0, 0.0, 7.5, 8.4, 9.3, 9.6, 12.0, 15.0, 17.0, 20.0, 30.0, 50.0, 70.0),
    (
        -67.0,
        -68.5,
        -68.0,
        -72.0,
        -77.2,
        -77.8,
        -79.0,
        -83.0,
        -85.5,
        -90.0,
        -94.5,
        -98,
        -105,
        -110,
        -110,
    ),
)
_EAST_INDIES = (
    (-60.0, -38.0, -20.0, -12.0, -10.0, -8.5, -5.0, 2.0, 10.0, 30.0),
    (146.9, 146.5, 140.0, 136.0, 125.0, 115.0, 105.0, 101.0, 99.0, 100.0),
)
_CAPE = 20.0  # the meridian of Cape Agulhas


def water_name(latitude: float, longitude: float) -> str:
    """Return the name of the sea or ocean at a point that is known not to be on land.

    Args:
        latitude: Degrees.
        longitude: Degrees, -180 to 180.
    """
    for name, south, north, west, east in _SEAS:
        if south <= latitude <= north and west <= longitude <= east:
            return name
    half = "North" if latitude >= 0 else "South"
    if np.interp(latitude, *_AMERICAS) <= longitude < _CAPE:
        return f"{half} Atlantic Ocean"
    if _CAPE <= longitude < np.interp(latitude, *_EAST_INDIES):
        return "Indian Ocean"
    return f"{half} Pacific Ocean"
