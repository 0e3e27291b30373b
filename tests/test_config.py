from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from tessella.config import load, load_state, section
from tessella.errors import ConfigError

CONFIG = Path(__file__).parents[1] / "config"
DEFAULT = yaml.safe_load((CONFIG / "default.yaml").read_text())
DEMO = DEFAULT | {"exposures": "exposures.ecsv"}


def values(**changes):
    """Return the default configuration with some values changed, sections by ``section__key``."""
    config = deepcopy(DEMO)
    for name, value in changes.items():
        node, *inner = name.split("__")
        if inner:
            config[node][inner[0]] = value
        else:
            config[node] = value
    return config


def refused(files=(), **changes):
    with pytest.raises(ConfigError) as caught:
        load(values(**changes), files)
    (line,) = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize(
    ("overlay", "run"), [("demo", "demo"), ("romanisim", "romanisim"), ("level2", "mine")]
)
def test_shipped_overlays_are_valid(overlay, run):
    config = values()
    for key, value in yaml.safe_load((CONFIG / f"{overlay}.yaml").read_text()).items():
        config[key] = config[key] | value if isinstance(config[key], dict) else value
    if config["source"] != "simulate":
        config[f"{config['source']}_folder"] = "given"
    assert load(config, []).run == run


def test_misspelt_section_is_refused_with_the_nearest():
    assert "did you mean 'align'?" in refused(algin={})


def test_misspelt_key_is_refused_with_file_and_section(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("coadd: {pixfrak: 0.9}\n")
    line = refused([file], coadd__pixfrak=0.9)
    assert line.startswith(str(file))
    assert "'coadd.pixfrak'" in line
    assert "did you mean 'pixfrac'?" in line


def test_fault_is_reported_in_the_last_file_that_holds_it(tmp_path):
    below, above = tmp_path / "below.yaml", tmp_path / "above.yaml"
    for file in (below, above):
        file.write_text("coadd: {pixfrac: -1}\n")
    assert refused([below, above], coadd__pixfrac=-1).startswith(str(above))


def test_fault_of_the_command_line_is_not_laid_on_a_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("coadd: {pixfrac: 0.8}\n")
    assert refused([file], coadd__pixfrac=-1).startswith("--config: 'coadd.pixfrac' is -1")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"coadd__pixfrac": -1.0}, "'coadd.pixfrac' is -1.0"),
        ({"measure__background_box_pixels": 0}, "greater than or equal to 8"),
        ({"source": "simulation"}, "did you mean 'simulate'?"),
        ({"environment__cpu_level": "x86-64-v5"}, "did you mean 'x86-64-v"),
        ({"detectors": ["WFI19"]}, "unknown detector 'WFI19'"),
        ({"run": "a/b"}, "'run' is 'a/b'"),
        ({"calibrate__skip": ["linaerity"]}, "did you mean 'linearity'?"),
        ({"run": ".."}, "'run' is '..'"),
        ({"results": ""}, "'results' is ''"),
        ({"first_start": "tomorrow"}, "must be a date in UTC"),
        ({"first_start": "2028-07-01T00:00:00+02:00"}, "must be a date in UTC"),
        ({"detectors": ["WFI01", "WFI01"]}, "WFI01 stands there twice"),
        ({"detect__threshold_sigma": float("inf")}, "finite number"),
        ({"scene__seed": -1}, "'scene.seed' is -1"),
        ({"window": {"x": 5, "y": 0, "nx": 128, "ny": 128}}, "'window'"),
    ],
)
def test_value_that_is_not_allowed_is_refused_in_one_line(change, said):
    assert said in refused(**change)


CUT = {"column": "FWHM", "minimum": None, "maximum": 1.0, "groupings": ["user"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"groupings__made": ["visits"]}, "did you mean 'visit'?"),
        ({"groupings__made": ["full", "full"]}, "a grouping stands there twice"),
        ({"groupings__made": []}, "at least 1 item"),
        ({"groupings__cuts": [CUT | {"colum": 1}]}, "did you mean 'column'?"),
        ({"groupings__cuts": [{"column": "FWHM"}]}, "'groupings.cuts.0.minimum' is missing"),
        ({"groupings__cuts": [CUT | {"groupings": []}]}, "at least 1 item"),
        ({"groupings__cuts": [CUT]}, "is for the grouping user, which is not made"),
        ({"groupings__cuts": [CUT | {"maximum": None}]}, "both bounds are null"),
        ({"groupings__cuts": [CUT | {"minimum": 2.0}]}, "the minimum is above the maximum"),
        ({"tile__linking_deg": 0}, "'tile.linking_deg' is 0"),
        ({"tile__maximum_gigapixels": -1}, "'tile.maximum_gigapixels' is -1"),
    ],
)
def test_fault_of_what_is_added_and_made_is_named(change, said):
    with pytest.raises(ConfigError) as caught:
        load(values(**change), [])
    assert said in str(caught.value).splitlines()[0]


def test_null_of_the_command_line_is_none():
    assert load(values(window="null"), []).window is None


def test_missing_key_is_named():
    config = values()
    del config["detect"]["n_pixels"]
    with pytest.raises(ConfigError, match=r"'detect.n_pixels' is missing"):
        load(config, [])


def test_source_needs_its_folder():
    assert "--config level1_folder=PATH" in refused(source="level1")
    assert "--config level2_folder=PATH" in refused(source="level2", detectors=None)


@pytest.mark.parametrize("source", ["simulate", "telemetry", "level1"])
def test_detectors_are_named_but_for_level2_files(source):
    assert "only Level 2 files are taken as found" in refused(source=source, detectors=None)


def test_several_faults_are_one_line_each():
    with pytest.raises(ConfigError) as caught:
        load(values(coadd__pixfrac=-1, run="a b"), [])
    assert len(str(caught.value).splitlines()) == 2


def test_section_is_json_that_changes_with_nothing_else():
    one, other = load(values(), []), load(values(align__threshold=20.0), [])
    assert section(one.measure) == section(other.measure)
    assert section(one.align) != section(other.align)


def test_configuration_cannot_be_changed():
    config = load(values(), [])
    with pytest.raises(ValueError, match="frozen"):
        config.run = "other"


@pytest.mark.parametrize("name", ["simulated", "romanisim"])
def test_shipped_detector_states_are_valid(name):
    load_state(CONFIG / "detectors", name)


def test_unknown_detector_state_names_those_there_are():
    with pytest.raises(ConfigError, match=r"did you mean 'simulated'.*there are romanisim"):
        load_state(CONFIG / "detectors", "simulatd")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("gain_scatter:", "gain_scater:", "did you mean 'gain_scatter'?"),
        ("gain_scatter: 0.005\n", "", "key 'gain_scatter' is missing"),
        ("gain_electrons_per_dn: 2.0", "gain_electrons_per_dn: -2.0", "is -2.0; it must be"),
        ("gain_electrons_per_dn: 2.0", "gain_electrons_per_dn: two", "'gain_electrons_per_dn' is"),
        ("dark_scatter: 0.4", "dark_scatter: .nan", "finite number"),
        ("0.92087273", "0.5", "ipc_kernel must have"),
        ("ipc_kernel:", "ipc_kernel: [", "not a YAML file"),
    ],
)
def test_faulty_detector_state_is_refused_in_one_line(tmp_path, old, new, said):
    text = (CONFIG / "detectors/simulated.yaml").read_text()
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_state(tmp_path, "mine")
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_empty_detector_state_is_refused(tmp_path):
    (tmp_path / "mine.yaml").touch()
    with pytest.raises(ConfigError, match="it holds no keys"):
        load_state(tmp_path, "mine")
