"""Level 2 -> Level 3: add the exposures of one filter on a tile (MPI: ranks own bands of rows)."""

import logging

from tessella.stage import stage_arguments


def main(argv=None):
    """Read the inputs, make this rank's rows, gather and write them on the first rank."""
    args = stage_arguments(
        __doc__,
        argv,
        "options",
        "lattice:json",
        "program:int",
        "ranks:int",
        "images*",
        "wcs*",
        "mosaic",
    )
    from tessella.coadd.tile import coadd_band, finish, subtract_skies
    from tessella.io.coadd_inputs import read_inputs
    from tessella.io.level3 import write_mosaic
    from tessella.io.provenance import provenance
    from tessella.models import Lattice
    from tessella.parallel import gather, is_first, share, world

    comm = world(args.ranks)
    lattice = Lattice(**args.lattice)
    inputs, about = read_inputs(args.images, args.wcs, lattice)
    inputs, levels = subtract_skies(inputs, lattice)
    first, count = share(lattice.ny, comm)
    options = args.options
    made = coadd_band(
        inputs, lattice, first, count, options["pixfrac"],
        options["outlier_signal_to_noise"], options["outlier_derivative_scale"],
    )  # fmt: skip
    bands = gather(made, comm)
    if is_first(comm):
        mosaic = finish(lattice, about.optical_element, inputs, levels, bands)
        logging.info("outliers by input: %s", mosaic.meta["outliers"])
        told = {"lattice": args.lattice, "program": args.program, **options}
        mosaic.meta["half_precision_inputs"] = about.half_precision
        origin = provenance("coadd_tile", told, [*args.images, *args.wcs])
        write_mosaic(
            args.mosaic,
            mosaic,
            args.program,
            "full",
            about.start_times,
            options["pixfrac"],
            about.pixel_scale_ratio,
            origin,
        )


if __name__ == "__main__":
    main()
