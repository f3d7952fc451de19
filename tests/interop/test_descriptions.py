"""config.json and preprocessor_config.json with anything in place of what belongs there."""

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosurge_jax.interop.families import TOWER_FAMILIES, clip_text, siglip_text
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.interop.model_directory import StoredModel
from geosurge_jax.interop.part import read_config
from tests.parity.oracle import thaw

ORACLES = {
    "clip": "clip", "siglip": "siglip", "vit": "vit", "dinov2": "dinov2_registers",
    "dinov3": "dinov3", "swin": "swin-padded", "resnet": "resnet-basic",
    "efficientnet": "efficientnet-odd", "clip_text": "clip_text_explicit_end",
    "siglip_text": "siglip_text",
}  # fmt: skip
FAMILIES = {**TOWER_FAMILIES, "clip_text": clip_text.FAMILY, "siglip_text": siglip_text.FAMILY}

thawed = cache(thaw)

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([0, 1, 8, 224, "height"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["height", "width", "shortest_edge", "a"]), inner, max_size=2
        )
    ),
    max_leaves=4,
)


def replaced(data, entries):
    """The entries with one or two replaced, wherever they stand."""
    entries = dict(entries)
    for _ in range(data.draw(st.integers(1, 2))):
        name = data.draw(st.sampled_from(sorted(entries)))
        inner = entries[name]
        if isinstance(inner, dict) and inner and data.draw(st.booleans()):
            entries[name] = {
                **inner,
                data.draw(st.sampled_from(sorted(inner))): data.draw(ANYTHING),
            }
        else:
            entries[name] = data.draw(ANYTHING)
    return entries


@pytest.mark.parametrize("name", ORACLES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_description_reads_or_is_refused_in_one_line(name, data):
    oracle, family = thawed(ORACLES[name]), FAMILIES[name]
    config, preprocessor = oracle.config, oracle.preprocessor
    if preprocessor and data.draw(st.booleans()):
        preprocessor = replaced(data, preprocessor)
    else:
        config = replaced(data, {**config, "model_type": config["model_type"]})
    stored = StoredModel(Path("model"), config, preprocessor, {}, {})
    try:
        read = read_config(stored, family)
        family.entries(read)
    except WeightsError as error:
        assert str(error).startswith("model: ") and "\n" not in str(error)
        assert len(str(error)) < 2000
