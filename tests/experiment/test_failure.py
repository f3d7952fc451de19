import pytest

from geosurge_jax.experiment.config_types import ConfigError
from geosurge_jax.experiment.failure import one_line_errors
from geosurge_jax.geo import ids_from_tokens


def test_our_own_errors_end_in_one_line(capsys):
    with pytest.raises(SystemExit) as ended, one_line_errors():
        ids_from_tokens(["not a token"])
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and "Traceback" not in printed


def test_faults_elsewhere_keep_their_traceback():
    with pytest.raises(ValueError, match="invalid literal"), one_line_errors():
        int("x")
    with pytest.raises(ConfigError), one_line_errors():
        raise ConfigError("raised by a test, not by the package")
