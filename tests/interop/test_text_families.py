import pytest

from geosurge_jax.interop.families import clip_text, siglip_text
from geosurge_jax.interop.family import WeightsError
from geosurge_jax.models.text import TextConfig

# transformers 4.57's CLIPTextConfig() and SiglipTextConfig()
CLIP = TextConfig("clip", 49408, 77, 512, 12, 2048, 8, "quick_gelu", 1e-5, 512, 49407)
SIGLIP = TextConfig("siglip", 32000, 64, 768, 12, 3072, 12, "gelu_tanh", 1e-6, 768, None)


def test_silent_files_have_the_defaults_of_transformers():
    assert clip_text.read({"model_type": "clip_text_model"}, None) == CLIP
    assert clip_text.read({"model_type": "clip", "text_config": None}, None) == CLIP
    assert siglip_text.read({"model_type": "siglip"}, None) == SIGLIP
    assert siglip_text.read({"projection_size": None}, None) == SIGLIP


def test_the_projection_of_a_whole_clip_is_its_own_and_not_the_towers():
    config = {"model_type": "clip", "projection_dim": 768, "text_config": {"projection_dim": 99}}
    assert clip_text.read(config, None).projection == 768


def test_the_older_of_two_descriptions_wins_with_its_defaults():
    config = {
        "model_type": "clip",
        "text_config_dict": {"hidden_size": 768, "num_attention_heads": 12},
        "text_config": {"hidden_size": 64, "hidden_act": "gelu", "eos_token_id": 2},
    }
    read = clip_text.read(config, None)
    assert (read.width, read.heads, read.activation, read.end_token) == (
        768,
        12,
        "quick_gelu",
        49407,
    )


@pytest.mark.parametrize(
    "config",
    [
        {"eos_token_id": 2, "hidden_act": "gelu"},
        {"eos_token_id": 5, "num_hidden_layers": 3, "layer_norm_eps": 1e-6},
    ],
)
def test_what_is_written_is_read_again(config):
    for family, model_type in (
        (clip_text.FAMILY, "clip_text_model"),
        (siglip_text.FAMILY, "siglip_text_model"),
    ):
        read = family.read({"model_type": model_type, **config}, None)
        written, preprocessor = family.write(read)
        assert written["model_type"] == model_type and preprocessor is None
        assert family.read(written, None) == read


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"hidden_act": "relu"}, "hidden_act='relu': expected one of"),
        ({"hidden_size": "768"}, "hidden_size='768': expected int"),
        ({"num_hidden_layers": True}, "num_hidden_layers=True: expected int"),
        ({"layer_norm_eps": "small"}, "layer_norm_eps='small': expected float"),
    ],
)
@pytest.mark.parametrize("family", [clip_text.FAMILY, siglip_text.FAMILY])
def test_entries_that_are_not_supported_are_named(family, config, message):
    with pytest.raises(WeightsError, match=f"^config.json: {message}"):
        family.read(config, None)
