"""XMP sidecars: a prediction beside its image, in a form that photo managers read.

The name is that of darktable and digiKam, `IMG.jpg.xmp`. The image itself is never touched. Formats: XMP
(ISO 16684-1), its EXIF properties (CIPA DC-010), Darwin Core terms.
"""

import hashlib
import re
from pathlib import Path
from xml.sax.saxutils import quoteattr

from geosurge_jax import __version__
from geosurge_jax.geo import atomic_file
from geosurge_jax.serving.prediction import DECIMALS, Prediction
from geosurge_jax.untrusted_text import printable

TOOL = "geosurge_jax"
# The last line of a sidecar: the digest of the text above it. Whatever another program has changed since is
# recognised by it.
_DIGEST = re.compile(rb"<!-- geosurge_jax sha256=([0-9a-f]{64}) -->\n\Z")
_MICROMINUTES = 60_000_000  # millionths of a minute in a degree

_TEMPLATE = """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:dwc="http://rs.tdwg.org/dwc/terms/"
{properties}/>
 </rdf:RDF>
</x:xmpmeta>
"""


class SidecarError(ValueError):
    """A sidecar that is not written, since it would replace one of another program; one line."""


def sidecar_path(image: Path) -> Path:
    """Returns the sidecar's file name, `IMG.jpg.xmp` for `IMG.jpg`."""
    return image.with_name(f"{image.name}.xmp")


def write_sidecar(image: Path, prediction: Prediction, radius_m: float | None = None) -> Path:
    """Writes a prediction as XMP beside an image; replaces only what this function has written earlier.

    Args:
        image: the image file, which is not opened.
        prediction: of that image.
        radius_m: metres around the coordinates within which the image is expected; None where unknown.

    Returns:
        The sidecar's file name.

    Raises:
        SidecarError: another program has written or changed the sidecar.
        OSError: it cannot be read or written.
    """
    path = sidecar_path(image)
    if path.exists() and not _written_here(path.read_bytes()):
        raise SidecarError(f"{path}: was written by another program; expected no sidecar there")
    text = sidecar_text(prediction, radius_m).encode()
    digest = hashlib.sha256(text).hexdigest()
    with atomic_file(path) as file:
        file.write(text + f"<!-- {TOOL} sha256={digest} -->\n".encode())
    return path


def sidecar_text(prediction: Prediction, radius_m: float | None = None) -> str:
    """Returns the XMP packet of a prediction; arguments as of `write_sidecar`."""
    latitude, longitude = prediction.latlng
    protocol = (
        f"{prediction.model}; decision rule {prediction.decision}; {TOOL} {__version__}; predicted from the "
        "image content"
    )
    properties = {
        "xmp:CreatorTool": f"{TOOL} {__version__}",
        "exif:GPSLatitude": gps_coordinate(latitude, "NS"),
        "exif:GPSLongitude": gps_coordinate(longitude, "EW"),
        "exif:GPSProcessingMethod": f"{TOOL} {prediction.model}",
        "dwc:decimalLatitude": f"{latitude:.{DECIMALS}f}",
        "dwc:decimalLongitude": f"{longitude:.{DECIMALS}f}",
        "dwc:georeferenceProtocol": protocol,
    }
    if prediction.warnings:
        properties["dwc:georeferenceRemarks"] = "; ".join(prediction.warnings)
    if radius_m is not None:
        metres = max(1, round(radius_m))  # Darwin Core forbids 0
        properties["exif:GPSHPositioningError"] = f"{metres}/1"
        properties["dwc:coordinateUncertaintyInMeters"] = str(metres)
    lines = [f"    {name}={quoteattr(printable(text))}" for name, text in properties.items()]
    return _TEMPLATE.format(properties="\n".join(lines))


def gps_coordinate(degrees: float, directions: str) -> str:
    """Returns XMP's form of a latitude or longitude, "DD,MM.mmmmmmN".

    Args:
        degrees: signed.
        directions: letters for positive and negative degrees, "NS" or "EW".
    """
    whole, rest = divmod(round(abs(degrees) * _MICROMINUTES), _MICROMINUTES)
    return f"{whole},{rest // 10**6:02d}.{rest % 10**6:06d}{directions[degrees < 0]}"


def _written_here(content: bytes) -> bool:
    found = _DIGEST.search(content)
    return (
        found is not None
        and hashlib.sha256(content[: found.start()]).hexdigest().encode() == found[1]
    )
