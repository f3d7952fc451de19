"""How people build and mark their roads: eighty-odd Voronoi cells on the sphere.

Colours are RRGGBB of the surface in white light, exaggerated a little so that a region can be told
at a glance. `road` reads: centre line colour, its pattern, edge line colour, asphalt colour.
"""

from typing import NamedTuple


class Region(NamedTuple):
    """One region: its building style and its road markings; `side` is the side one drives on."""

    name: str
    latitude: float
    longitude: float
    walls: str
    roof: str
    trim: str
    shape: str
    windows: str
    storeys: float
    road: str
    side: str
    paving: str
    post: str


_TABLE = """
Yukon            | 63 -140 | 7d5a3c 96714c | 3f5a4a | e8e0cc | gable   | sparse  | 1.5 | e8b923 double e8e8e8 6a6a70 | R | a39e94 | 6b5138
Cascadia         | 49 -122 | 5f7d86 8fa08c | 3c4148 | f2f2ee | gable   | grid    | 3   | e8b923 double e8e8e8 5a5d63 | R | a9aaa6 | 5d4a38
California       | 36 -119 | ecd9b4 e3b58f | c0623a | ffffff | hip     | arched  | 2.5 | f0bb20 double f0f0f0 7b7a78 | R | cfc7b8 | 8d8d8d
South-West       | 33 -108 | c98b5e b87450 | a86a46 | 3f9aa0 | flat    | sparse  | 1.5 | f0bb20 dash   f0f0f0 85796f | R | d0b090 | 8a5f3e
Rockies          | 44 -109 | 8a4f35 a2683f | 51603f | efe6d2 | steep   | grid    | 2   | f0bb20 dash   f0f0f0 77716c | R | b8a995 | 6b5138
Prairie          | 49 -100 | ffffff b3322c | 7e2b28 | f5f5f0 | gable   | grid    | 2   | e8b923 dash   e8e8e8 6f6f72 | R | b5b2aa | 725a40
Texas            | 31 -98  | d9a77a b06b45 | 8a8f94 | f2e8d8 | hip     | grid    | 3   | f0bb20 double f0f0f0 8d8780 | R | c9bda8 | 757575
Great Lakes      | 42 -86  | 9b4a38 7d3b2f | 4a4544 | e9e4da | gable   | grid    | 4   | e8b923 double e8e8e8 63625f | R | a7a39c | 5d5d5d
New England      | 43 -72  | f1efe6 c9d3d6 | 3c4f5c | 2f4858 | gable   | shutter | 3   | e8b923 double e8e8e8 5c5c60 | R | a65f4c | 5d4a38
American South   | 33 -84  | f6f0e2 e8c9a9 | 5b6b5f | 3d5c49 | hip     | shutter | 2   | e8b923 double e8e8e8 78706a | R | b98c72 | 6b5138
Florida          | 27 -81  | f5c9b8 a9dcd2 | e8e4da | ffffff | hip     | band    | 3   | e8b923 double e8e8e8 8f8d88 | R | e3d9c2 | 9a9a9a
Quebec           | 48 -72  | 8d8f94 b9b2a6 | 2f6e8c | b5322d | mansard | tall    | 3   | e8b923 dash   e8e8e8 5c5f66 | R | 9c9a97 | 5d4a38
Mexico           | 21 -101 | e9a03b d4503f | b5543a | 2f7f86 | flat    | tall    | 2   | f0c020 solid  f0f0f0 7f7468 | R | c4957a | 9c9080
Central America  | 13 -87  | f2d24b 58b0a2 | b0452f | ffffff | gable   | arched  | 1.5 | f0c020 double -      75685f | R | b59a7c | 8c8478
Caribbean        | 20 -74  | f08bb0 56c3c9 | d95f4c | ffffff | hip     | shutter | 1.5 | f5f5f5 dash   -      8c857c | R | e6d3ac | 9a9a9a
Colombia         | 5 -74   | f3f0e6 e2724b | a3452e | 2f6aa0 | gable   | shutter | 2.5 | f0c020 double f0f0f0 5f5c59 | R | b06a50 | 8f8f88
Guianas          | 5 -59   | e7f0e2 9ad0b0 | b8363a | 3f8a5c | steep   | shutter | 2   | f5f5f5 dash   -      8c5f48 | L | b8805f | 6f5a44
Peru             | -11 -74 | d8c07a b88a5a | 9a4a34 | 3a5fa8 | flat    | arched  | 2.5 | f0c020 dash   f0f0f0 78695c | R | c0a078 | 7d6b55
Altiplano        | -18 -66 | b5623f 9d5236 | c78a4a | e8d8b0 | flat    | sparse  | 2   | f0c020 solid  -      80685a | R | a98465 | 7a5a45
Chile            | -36 -71 | 5fa3c4 d8574a | 6f7377 | ffffff | gable   | grid    | 2.5 | f5f5f5 dash   f5f5f5 67666a | R | b0aca4 | 8f8f88
Pampas           | -34 -61 | dfe4e6 b9c6d6 | 6d7884 | 4f6f9a | mansard | tall    | 5   | f0c020 double f0f0f0 6b6a68 | R | bfb8b0 | 8f8f88
Patagonia        | -48 -69 | 4f8f6b c9b64a | c23f33 | f5f5ee | steep   | grid    | 1.5 | f0c020 dash   f0f0f0 7b7d80 | R | a8a49c | 7b6a55
Southern Brazil  | -25 -49 | e9e2cf d9b06a | c8573a | 4f7f4a | hip     | band    | 6   | f0c020 double f0f0f0 716861 | R | 8f8f96 | a5a5a0
North-East Brazil| -9 -40  | 48b1a0 f2a65a | c9603c | ffffff | gable   | tall    | 1.5 | f0c020 dash   f0f0f0 96705a | R | d4b183 | a5a5a0
Amazonia         | -4 -62  | 6aa4c8 d8c89a | 8c9498 | f2f2f2 | gable   | sparse  | 1.2 | f0c020 dash   -      a35c40 | R | b5714f | 7a6048
Iceland          | 65 -19  | e9eef2 3c6f9c | c2302e | ffffff | gable   | grid    | 2   | f5f5f5 dash   f5f5f5 4c4e52 | R | 74767a | 9a9a9a
British Isles    | 53 -3   | 9a5540 a86a4c | 4c4f58 | f5f2ea | gable   | tall    | 2.5 | f5f5f5 dash   f2d040 55575b | L | a5a08f | 4f4f55
Ireland          | 53 -8   | f0e9da 6fb09a | 5a6270 | 28435c | gable   | tall    | 2   | f5f5f5 dash   f0c020 5f6060 | L | 99a08f | 6b5a48
Norway           | 63 10   | a8322a d59a35 | 2f3a3c | ffffff | steep   | grid    | 2   | f0c020 dash   f5f5f5 595c62 | R | 8a8d92 | 6b5138
Finland          | 63 25   | d9c15a 8f3a30 | 6a4038 | ffffff | gable   | grid    | 2.5 | f0c020 solid  f5f5f5 626469 | R | 9a9da0 | 6f5038
Baltic and North | 54 11   | 8c3f30 c98f4a | a14a35 | f0ead8 | steep   | tall    | 3   | f5f5f5 dash   f5f5f5 5d5c5e | R | a8726a | 5d5d5d
Low Countries    | 52 5    | 6e3a2e 8a5038 | c8663c | ffffff | steep   | tall    | 3   | f5f5f5 dash   f5f5f5 7d504a | R | 9d5a50 | 4f5358
Paris basin      | 48 2    | efe0c0 e2d0a8 | 5a6a7c | 4a5560 | mansard | tall    | 5.5 | f5f5f5 dash   f5f5f5 5f6166 | R | c4bcae | 3f5048
Aquitaine        | 44 1    | e0a98c ecc9a2 | c07050 | 6f9ac0 | hip     | shutter | 2.5 | f5f5f5 dash   -      6e6a66 | R | d0bca0 | 9a9488
Castile          | 40 -4   | e0b878 c98a55 | b0562f | 6a3f2a | hip     | arched  | 4   | f5f5f5 dash   f5f5f5 6a6563 | R | c9a980 | 7d7d78
Portugal         | 40 -8   | 8fb8e0 f5f0e6 | d06a40 | f0d050 | hip     | shutter | 3   | f5f5f5 dash   -      6f6d75 | R | e2e0d8 | 7d7d78
Alps             | 47 10   | f5efe0 a0703f | 5c3f2c | 5a8a3c | gable   | shutter | 3   | f5f5f5 dash   f5f5f5 606268 | R | a9a9a9 | 6f5038
Italy            | 43 12   | e09a52 d97a4a | b5603c | 4a7050 | hip     | shutter | 4   | f5f5f5 dash   f5f5f5 5c5a5f | R | a58f80 | 7a7a72
Aegean           | 38 24   | fafafa e8f0f8 | f0f0f0 | 2a6ad0 | dome    | sparse  | 2   | f5f5f5 double -      777570 | R | e4ddd0 | a0a0a0
Danube           | 46 19   | e6c25a a8b87a | 9c4632 | f5ecd8 | steep   | arched  | 3   | f5f5f5 dash   f5f5f5 605d5c | R | a59a8c | 8c8c84
Carpathia        | 49 24   | c8d0a0 d8a078 | 6f4434 | 6a4a34 | steep   | grid    | 3   | f5f5f5 dash   -      6e6c6a | R | 98948c | a09a8c
Muscovy          | 56 38   | d8a8a0 e8d890 | 3f8a6a | f8f8f8 | dome    | grid    | 6   | f5f5f5 solid  f5f5f5 58585e | R | 8f9298 | 9aa0a0
Siberia          | 57 80   | 4f7aa8 7a5a3c | 6f7a84 | d8f0f8 | gable   | shutter | 2   | f5f5f5 dash   -      5f6266 | R | 8c8f90 | 7a5f48
Yakutia          | 62 130  | 9c8058 5a9a94 | 4a5f6a | e8e8d8 | gable   | sparse  | 1.5 | f5f5f5 dash   -      8c857a | R | a09a88 | 6b5138
Anatolia         | 39 34   | e9b9a0 f0dcc0 | c05038 | f5f5f5 | hip     | band    | 4.5 | f5f5f5 dash   f0c020 706c70 | R | b0a59c | 9a9a9a
Levant           | 32 36   | ecdcb0 dcc490 | e4d4a8 | 7aa0a8 | flat    | arched  | 4   | f5f5f5 solid  f0c020 77736c | R | e0d0a8 | a59a80
Arabia           | 24 47   | f4ead0 e4cc9c | f0e4c8 | 8c6a3c | flat    | sparse  | 2.5 | f5f5f5 dash   f0c020 66625f | R | e8d8b0 | b0a890
Persia           | 33 54   | cfa468 bf8c50 | 3aa0b0 | 2a8ab8 | dome    | arched  | 2.5 | f5f5f5 dash   f0c020 6a6866 | R | c8b090 | a09a8c
Maghreb          | 32 -3   | d88a68 f5ece0 | cc7a58 | 2f8a5a | flat    | arched  | 2.5 | f5f5f5 dash   -      746a62 | R | d4a888 | 8c8478
Nile             | 28 31   | c89a60 b07c4a | bd935c | e8d8b0 | flat    | sparse  | 5   | f5f5f5 solid  -      7c746a | R | c8ac80 | 9a8c70
Sahel            | 14 5    | b8683c c87a48 | a85c36 | 6a3a24 | flat    | sparse  | 1.2 | f5f5f5 dash   -      a8643c | R | c87c48 | 8c6a48
Guinea           | 7 0     | f0d890 7ab8a0 | a04a38 | 3f6a9a | hip     | band    | 1.5 | f5f5f5 dash   -      a0583a | R | b86a44 | 8c8478
Congo            | -2 20   | 9ac0b8 c8a078 | 9aa0a4 | f0f0e8 | gable   | sparse  | 1.2 | f5f5f5 dash   -      b0553a | R | b0603c | 7a5a40
Ethiopia         | 9 39    | 7a9ac8 b0a060 | b0b4b8 | e8d050 | gable   | sparse  | 1.8 | f5f5f5 solid  -      7a6a60 | R | 9c8470 | 8a7050
Kenya            | -3 36   | a09078 d8c8a0 | 4a8a5a | f0ece0 | hip     | grid    | 2   | f5f5f5 dash   f0c020 8c6250 | L | b8755a | 7a6048
Angola and Zambia| -14 24  | f0b0a0 e8d8c0 | 8c5a4a | 5a7a9a | gable   | band    | 1.3 | f5f5f5 dash   f0c020 946450 | L | c08a68 | 8a6a4a
Cape             | -31 24  | fafaf2 f0d8d0 | 8a8a84 | 3f6f4f | gable   | shutter | 2   | f5f5f5 dash   f0b820 686468 | L | b0a090 | 808080
Madagascar       | -19 47  | b0503c d08a5a | 7a4030 | e0c060 | steep   | tall    | 2   | f5f5f5 dash   -      b06848 | R | b87048 | 7a5a40
Turan            | 42 66   | d8c0a0 a0c4d8 | 3a9ac0 | 3a7ac0 | flat    | grid    | 2.5 | f5f5f5 dash   f5f5f5 78787a | R | c0b49c | 70a0b0
Punjab           | 29 74   | d8745a e8b090 | c88870 | f5e8d8 | flat    | arched  | 3   | f5f5f5 dash   f0c020 706860 | L | c09078 | 8c8c88
Deccan           | 17 78   | b0d070 f0a0c0 | d86a48 | 6a40a0 | flat    | band    | 2.5 | f5f5f5 dash   f0c020 7c5f52 | L | b88060 | a0a0a0
Bengal           | 24 89   | 8ac8a0 c86a5a | 909a9c | 2a5a4a | flat    | band    | 4   | f5f5f5 dash   -      787068 | L | a8907c | 8c8c80
Himalaya         | 29 84   | d8d0c8 b87a6a | d8a030 | 8a2a2a | pagoda  | tall    | 2.5 | f5f5f5 dash   -      78706c | L | a88f88 | 6b5138
Tibet            | 33 92   | f5f2e8 8a2f30 | d8a838 | 3a2a28 | flat    | tall    | 2   | f0c020 dash   f5f5f5 6a6a70 | R | a8a098 | 8a7a60
Mongolia         | 46 104  | f0f0ea 5a8ac8 | d87a3a | d83a30 | dome    | sparse  | 1.3 | f5f5f5 dash   -      807868 | R | a89c88 | 9a8c70
North China      | 38 115  | 8c8c8c a89c94 | 4a4c50 | b02f28 | pagoda  | grid    | 5   | f0c020 double f5f5f5 5c5c62 | R | 98948c | b0b0b0
Yangtze          | 30 117  | f5f5f2 d8dcdc | 34383c | 5a3a28 | gable   | sparse  | 4   | f0c020 double f5f5f5 686a70 | R | 8c9490 | b8b8b8
South China      | 24 112  | a8b8b0 d8b8a8 | 5a7a5c | d8f0e0 | pagoda  | band    | 7   | f0c020 solid  f5f5f5 706c6c | R | b09890 | a8a8a8
Manchuria        | 46 127  | e8c080 c8705a | 4a7ab0 | f8f0d8 | hip     | grid    | 5   | f0c020 double f5f5f5 606468 | R | a0a4a8 | a0a0a0
Korea            | 37 128  | c8d4e0 e0d4c0 | 3a6a8c | 3a7a6a | pagoda  | band    | 6   | f0c020 double f5f5f5 55585c | R | a87a70 | 9aa4a8
Honshu           | 36 138  | d4c8b4 6a5a50 | 40506a | e8e4dc | pagoda  | band    | 3   | f5f5f5 dash   f5f5f5 50555c | L | a8a8b0 | 8a8a86
Hokkaido         | 44 142  | c0d8c8 e0e4ea | c84840 | ffffff | gable   | grid    | 2   | f0c020 solid  f5f5f5 585c64 | L | 98a0a8 | c85040
Siam             | 15 101  | f0e4b0 d8a0a8 | d87830 | 2f8a4a | pagoda  | tall    | 2.5 | f0c020 dash   f5f5f5 75706e | L | c0a898 | a8a8a0
Vietnam          | 16 107  | f2c848 70b8c0 | a85840 | f8f4e0 | flat    | tall    | 4   | f5f5f5 dash   -      6a6460 | R | b89c88 | a0a098
Malaya           | 3 103   | c8e0b8 f0c8b0 | a83c34 | ffffff | hip     | band    | 3.5 | f5f5f5 double f5f5f5 605858 | L | a87864 | 90908c
Java and Bali    | -8 111  | c86848 a85038 | 6a3a2c | e8c860 | pagoda  | arched  | 1.5 | f5f5f5 dash   -      5c5854 | L | 8c7a6c | 6a6a60
Philippines      | 13 122  | a8d0e8 f0b078 | a0a8ac | e8f0f0 | gable   | band    | 2   | f0c020 dash   f5f5f5 8c8884 | R | b8b0a4 | 9a9078
Borneo and Papua | -3 130  | a88458 70a880 | 8a7448 | f0e0b0 | steep   | sparse  | 1.2 | f5f5f5 dash   -      905a44 | L | a8785c | 7a5f40
North Australia  | -19 133 | e8e8e0 a8c0b8 | b8c4c8 | 4a6a5a | hip     | sparse  | 1.2 | f5f5f5 dash   f5f5f5 a0543c | L | c87850 | 707070
Western Australia| -31 119 | c87858 e0c8a8 | a04a3a | f5efe0 | hip     | grid    | 1.5 | f5f5f5 dash   f5f5f5 906058 | L | c8b090 | 7a5a48
South Australia  | -36 146 | a85c48 d8cabc | 5c6468 | d8e4e0 | hip     | grid    | 2.5 | f5f5f5 double f5f5f5 66605f | L | a8a498 | 7a5a48
New Zealand      | -41 174 | f0f4ea 88b0b8 | 3a7a50 | ffffff | gable   | grid    | 1.8 | f5f5f5 dash   f5f5f5 60666a | L | 9ca49c | 8a6a50
Greenland        | 68 -48  | c03830 3a70b0 | 3c4044 | ffffff | gable   | sparse  | 1.5 | f5f5f5 dash   -      70747a | R | 8c9094 | 8a8a8a
Antarctica       | -80 20  | d85030 4a8a60 | 4a4e58 | f8f8f8 | flat    | band    | 1.5 | f5f5f5 dash   -      a0a8b0 | L | a8b0b8 | d88030
"""  # noqa: E501 (one region, one row)


def _region(line: str) -> Region:
    cells = [cell.strip() for cell in line.split("|")]
    latitude, longitude = (float(number) for number in cells[1].split())
    walls, roof, trim, shape, windows, storeys, road, side, paving, post = cells[2:]
    return Region(
        cells[0], latitude, longitude, walls, roof, trim, shape, windows, float(storeys),
        road, side, paving, post,
    )  # fmt: skip


REGIONS: tuple[Region, ...] = tuple(_region(line) for line in _TABLE.strip().splitlines())
