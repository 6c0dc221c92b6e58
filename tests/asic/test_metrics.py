import json

import pytest

from asic.__main__ import main
from asic.metrics import METRICS, MetricsError, read_run


FULL = {keys[0]: number + 0.5 for number, keys in enumerate(METRICS.values())}


def run(folder, name, metrics):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(metrics if isinstance(metrics, str) else json.dumps(metrics))
    return folder


def test_a_run_of_librelane(tmp_path, capsys):
    found = read_run(run(tmp_path, "final/metrics.json", FULL))
    assert [found[name] for name in METRICS] == [number + 0.5 for number in range(len(METRICS))]
    assert found["source"].endswith("final/metrics.json")
    main(["report", "--from", str(tmp_path)])
    assert "area_um2: 0.5\n" in capsys.readouterr().out


def test_a_run_of_orfs_with_the_routing_beside_it(tmp_path):
    keys = {name: names[-1] for name, names in METRICS.items()}
    run(tmp_path, "6_report.json", {key: 2 for key in keys.values() if key.startswith("finish")})
    with pytest.raises(MetricsError, match=r"lacks wire_um \(route__wirelength or "):
        read_run(tmp_path)
    run(tmp_path, "5_2_route.json", {key: 3 for key in keys.values() if key.startswith("detailed")})
    assert read_run(tmp_path)["wire_um"] == 3 and read_run(tmp_path)["cells"] == 2


@pytest.mark.parametrize("metrics, error", [
    ({**FULL, "power__total": "?"}, r"lacks power_W \(power__total or finish__power__total\)$"),
    ({**FULL, "power__total": None}, "lacks power_W "),
    ({key: value for key, value in FULL.items() if "timing" not in key}, "lacks setup_slack_ns .*, hold_"),
    ("{", "^Metrics must be JSON, and .* is not: "),
    ("[]", "^Metrics must be an object of JSON, and .* is not$"),
])
def test_what_is_missing_is_an_error_and_no_zero(tmp_path, metrics, error):
    with pytest.raises(MetricsError, match=error):
        read_run(run(tmp_path, "metrics.json", metrics))


def test_a_folder_of_something_else_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["report", "--from", str(tmp_path)])
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("error: Folder of a run must hold one of final/metrics.json, ")
