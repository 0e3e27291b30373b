"""Light -> what the detectors of one exposure send to the ground."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Expose each detector and write what it would send."""
    args = stage_arguments(
        __doc__,
        argv,
        "options",
        "window:json",
        "exposure:json",
        "state",
        "truth:json",
        "earlier:json",
        "readouts",
        "left:json",
    )
    from tessella.config import load_state
    from tessella.detector.persistence_state import PersistenceState
    from tessella.io.persistence_state import read_state, write_state
    from tessella.io.provenance import provenance
    from tessella.io.readouts import write_readouts
    from tessella.io.stars import read_truth
    from tessella.models import ExposureKey, Window
    from tessella.simulate.observation import Conditions, expose_evenly, observe
    from tessella.simulate.pointing import planned_header

    plan = args.exposure
    told = ("optical_element", "ma_table_number", "start_time", "ra", "dec", "pa", "exposure_type")
    header = planned_header(ExposureKey(**plan["key"]), *(plan[name] for name in told))
    truth = [read_truth(path).as_array() for path in args.truth]
    state = load_state(args.state.parent, args.state.stem)
    conditions = Conditions(
        **{name: value for name, value in args.options.items() if name != "state"}
    )
    window = Window(**args.window)
    earlier = [None] * len(plan["detectors"])
    if state.persistence_ratio:
        # The first exposure finds empty traps.
        earlier = [
            read_state(path, detector, window) if path else PersistenceState(detector, window)
            for detector, path in zip(plan["detectors"], args.earlier, strict=True)
        ]
    readouts = [
        observe(*truth, header, detector, window, state, conditions, before)
        if truth
        else expose_evenly(header, plan["lamp_rate"], detector, window, state, conditions, before)
        for detector, before in zip(plan["detectors"], earlier, strict=True)
    ]
    told = {"window": args.window, "exposure": plan, **args.options}
    made_from = [args.state, *args.truth, *filter(None, args.earlier)]
    origin = provenance("simulate_exposure", told, made_from)
    write_readouts(args.readouts, header, readouts, origin)
    # No files are asked for without persistence.
    for path, readout in zip(args.left, readouts, strict=False):
        write_state(path, readout.left, origin)


if __name__ == "__main__":
    main()
