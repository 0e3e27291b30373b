"""Truth -> what the detectors of one exposure send to the ground."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Observe the sky with each detector and write what it would send."""
    args = stage_arguments(
        __doc__, argv, "options", "window:json", "exposure:json", "state", "truth", "readouts"
    )
    from astropy.table import Table

    from tessella.config import load_state
    from tessella.io.level0 import write_readouts
    from tessella.models import ExposureKey, Window
    from tessella.simulate.observation import Conditions, observe
    from tessella.simulate.pointing import planned_header

    plan = args.exposure
    told = ("optical_element", "ma_table_number", "start_time", "ra", "dec", "pa")
    header = planned_header(ExposureKey(**plan["key"]), *(plan[name] for name in told))
    truth = Table.read(args.truth, format="ascii.ecsv").as_array()
    state = load_state(args.state.parent, args.state.stem)
    conditions = Conditions(
        **{name: value for name, value in args.options.items() if name != "state"}
    )
    window = Window(**args.window)
    readouts = [
        observe(truth, header, detector, window, state, conditions)
        for detector in plan["detectors"]
    ]
    write_readouts(args.readouts, header, readouts)


if __name__ == "__main__":
    main()
