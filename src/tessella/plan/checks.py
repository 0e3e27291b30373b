"""Files that a plan names, looked at before the first job."""

from pathlib import Path

from tessella.config import Config, load_state
from tessella.errors import DataError
from tessella.instrument.optical_elements import filters
from tessella.io.detector_status import refuse_disabled
from tessella.plan.build import Plan, find_file


def check_inputs(config: Config, plan: Plan, base: str | Path) -> None:
    """Refuse what the first jobs would fail at: files that are named but absent, or not so.

    Raises
    ------
    ConfigError
        If a detector state that references are made from is not there or not as it must be.
    DataError
        If the table of reference stars or a reference of one's own is not there, a detector is
        not enabled, or the run holds too few darks and flats to measure references from.
    """
    files = {Path(file) for chosen in plan.selections.values() for file in chosen.files.values()}
    states = {path.parts[0] for path in files if not path.is_absolute()}
    if config.source == "simulate":
        states.add(config.expose.state)
    for state in sorted(states):
        load_state(find_file(config.references.states, base), state)
    for path in sorted(path for path in files if path.is_absolute()):
        if not path.is_file():
            raise DataError(f"{path}: no such file; 'references.table' names it as a reference")
    for chosen in plan.selections.values():
        status = chosen.files.get("detectorstatus")
        # Those that the run makes itself have all detectors enabled.
        if status is not None and Path(status).is_absolute():
            refuse_disabled(status, chosen.detector)
    if config.calibration.measure:
        _check_campaign(plan)
    stars = find_file(config.reference_stars.table, base)
    if not stars.is_file():
        raise DataError(f"{stars}: no such file; 'reference_stars.table' names the Gaia table")


def _check_campaign(plan: Plan) -> None:
    campaign = [one for one in plan.exposures.values() if one.is_for_calibration]
    flats = [one.optical_element for one in campaign if one.exposure_type == "WFI_FLAT"]
    n_darks = len(campaign) - len(flats)
    n_flats = max((flats.count(name) for name in filters()), default=0)
    if min(n_darks, n_flats) < 2:
        raise DataError(
            f"calibration.measure: the run holds {n_darks} darks and at most {n_flats} flats of a "
            "filter; at least two of each are needed"
        )
