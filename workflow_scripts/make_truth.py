"""Gaia stars, drawn stars and galaxies -> the truth table that the simulator observes."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Read the Gaia table, draw the scene around it, write the truth."""
    args = stage_arguments(__doc__, argv, "options", "stars", "truth")
    from astropy.time import Time

    from tessella.io.provenance import provenance
    from tessella.io.stars import read_gaia_field, write_truth
    from tessella.simulate.scene import Field, draw_scene

    options, field = args.options, Field(**args.options["field"])
    # The corner of the square.
    radius = 1.5 * field.half_width_arcsec / 3600
    scene = draw_scene(
        field,
        *read_gaia_field(args.stars, options["catalogue_epoch"], field.ra, field.dec, radius),
        float(Time(options["start_time"]).jyear),
        options["seed"],
    )
    write_truth(args.truth, scene, provenance("make_truth", options, [args.stars]))


if __name__ == "__main__":
    main()
