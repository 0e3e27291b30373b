"""Level 2 -> Level 3: cut one cell from the sums of its patch, as an official coadd."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Read the cell's part of the sums and write the coadd with its pictures."""
    args = stage_arguments(
        __doc__,
        argv,
        "lattice:json",
        "program:int",
        "grouping:str",
        "sums",
        "images*",
        "mosaic",
        "preview",
        "thumbnail",
        "maps",
    )
    from tessella.io.previews import write_previews
    from tessella.io.provenance import provenance
    from tessella.models import Lattice
    from tessella.run.cut_cell import write_cell

    told = {"lattice": args.lattice, "program": args.program, "grouping": args.grouping}
    origin = provenance("cut_cell", told, [args.sums, *args.images])
    mosaic = write_cell(
        args.mosaic, args.sums, Lattice(**args.lattice), args.grouping, args.program, origin
    )
    write_previews(args.preview, args.thumbnail, args.maps, mosaic, origin)


if __name__ == "__main__":
    main()
