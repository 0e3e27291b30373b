"""Gaia stars, drawn stars and galaxies -> the truth table that the simulator observes."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Read the Gaia table, draw the scene around it, write the truth."""
    args = stage_arguments(__doc__, argv, "options", "stars", "truth")
    from astropy.time import Time

    from tessella.io.provenance import provenance
    from tessella.io.stars import read_gaia_photometry, read_gaia_table, write_truth
    from tessella.simulate.scene import Field, draw_scene

    options = args.options
    scene = draw_scene(
        Field(**options["field"]),
        read_gaia_table(args.stars, options["catalogue_epoch"]),
        *read_gaia_photometry(args.stars),
        float(Time(options["start_time"]).jyear),
        options["seed"],
    )
    write_truth(args.truth, scene, provenance("make_truth", options, [args.stars]))


if __name__ == "__main__":
    main()
