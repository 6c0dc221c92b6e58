"""Configuration files: those that ship, and what is wrong with others."""

import re
from dataclasses import replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogen.mapping.compile import compile_network
from neurogen.mapping.config import CONFIGS, load_config
from neurogen.mapping.plan import ConfigurationError
from neurogen.spec.mega import MegaSpec
from tests.mapping.networks import chain, conv


GOOD = "lanes: 2\nweight_bits: 4\nstate_bits: 13\nstate_depth: 64\nweight_depth: 64\nspike_depth: 64\n"


def refused(path, text, message):
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=f"^{re.escape(message.format(path))}$"):
        load_config(path)


@pytest.mark.parametrize("name", CONFIGS)
def test_configurations_that_ship_run_two_layers(name):
    spec = load_config(name)
    plan = compile_network(chain((2, 9, 9), conv(4, 2), conv(4, 4), v_lo=-99, v_hi=99, state_bits=12), spec)
    assert plan.strategy == "resident"


def test_figures_of_the_reference_engine():
    spec = load_config("default")
    assert (spec.sops_per_cycle, spec.state_depth) == (288, 512)
    assert load_config("max").sops_per_cycle == 4 * 288


def test_a_file_is_the_spec(tmp_path):
    spec = replace(load_config("max"), lanes=8)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(spec.to_dict()))
    assert load_config(path) == load_config(str(path)) == spec


def test_unknown_name_lists_the_known_ones():
    message = "Configuration must be a YAML file or one of mini, edge, default, wide, max, not 'huge'"
    with pytest.raises(ConfigurationError, match=f"^{message}$"):
        load_config("huge")


def test_messages_name_file_line_and_key(tmp_path):
    path = tmp_path / "bad.yaml"
    keys = ", ".join(MegaSpec.__dataclass_fields__)
    refused(path, GOOD + "lames: 2\n", "{}, line 7: key must be one of " + keys + ", not 'lames'")
    refused(path, GOOD[9:], "Configuration {} must have the key 'lanes'")
    refused(path, GOOD + "cuba: 1\n", "{}, line 7: cuba must be true or false, not 1")
    refused(path, GOOD + "clusters: two\n", "{}, line 7: clusters must be an integer, not 'two'")
    refused(path, GOOD + "clusters: true\n", "{}, line 7: clusters must be an integer, not True")
    refused(path, GOOD + "fraction_bits: 4\n", "{}, line 7: fraction_bits must be a list of integers, not 4")
    refused(path, GOOD + "clusters: 3\n",
            "{}, line 7 (clusters): Cluster count must be a power of two, not 3")
    refused(path, GOOD + "sweep_cycles: 5\n",
            "{}: Sweep cycles must be at most 2, or 6 or 18, not 5")
    refused(path, GOOD + "lanes: 4\n", "{}, line 7: key must occur once, and 'lanes' is also in line 1")
    refused(path, "- 1\n", "Configuration {} must be a mapping of keys to values")
    refused(path, "1: 2\n", "{}, line 1: key must be a name, not 1")
    refused(path, "lanes: [1\n", "{}, line 2: configuration must be YAML: expected ',' or ']', but got "
                                 "'<stream end>'")
    refused(path, "", "Configuration {} must be a mapping of keys to values")


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="must be a readable text file"):
        load_config(path)


@settings(max_examples=50)
@given(st.one_of(st.text(max_size=60), st.text(alphabet="lanes:[]{}&*!-'\"\n 1\t?|>%@", max_size=60),
                 st.integers(0, len(GOOD)).map(lambda n: GOOD[:n])))
def test_no_text_makes_a_traceback(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_text(text, encoding="utf-8", errors="ignore")
    try:
        assert isinstance(load_config(path), MegaSpec)
    except ConfigurationError as error:
        assert "fuzz.yaml" in str(error)
