"""Truth -> what the detectors of one exposure send to the ground."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Observe the sky with each detector and write what it would send."""
    args = stage_arguments(
        __doc__, argv, "options", "window:json", "exposure:json", "state", "truth", "readouts"
    )
    from tessella.config import load_state
    from tessella.io.level0 import write_readouts
    from tessella.io.provenance import provenance
    from tessella.io.stars import read_truth
    from tessella.models import ExposureKey, Window
    from tessella.simulate.observation import Conditions, observe
    from tessella.simulate.pointing import planned_header

    plan = args.exposure
    told = ("optical_element", "ma_table_number", "start_time", "ra", "dec", "pa")
    header = planned_header(ExposureKey(**plan["key"]), *(plan[name] for name in told))
    truth = read_truth(args.truth).as_array()
    state = load_state(args.state.parent, args.state.stem)
    conditions = Conditions(
        **{name: value for name, value in args.options.items() if name != "state"}
    )
    window = Window(**args.window)
    readouts = [
        observe(truth, header, detector, window, state, conditions)
        for detector in plan["detectors"]
    ]
    told = {"window": args.window, "exposure": plan, **args.options}
    origin = provenance("simulate_exposure", told, [args.state, args.truth])
    write_readouts(args.readouts, header, readouts, origin)


if __name__ == "__main__":
    main()
