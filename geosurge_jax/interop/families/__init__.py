"""The architectures whose files are read and written."""

from geosurge_jax.interop.families import (
    clip,
    dinov2,
    dinov3,
    efficientnet,
    resnet,
    siglip,
    swin,
    vit,
)
from geosurge_jax.interop.family import Family

# By the `kind` of our config.
TOWER_FAMILIES: dict[str, Family] = {
    module.FAMILY.name: module.FAMILY
    for module in (clip, dinov2, dinov3, efficientnet, resnet, siglip, swin, vit)
}
