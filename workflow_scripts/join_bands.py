"""Segmentation map + tables of all bands -> L4: the multiband catalog."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Measure positions and shapes on the detection image, join the bands, write the catalog."""
    args = stage_arguments(
        __doc__, argv, "matched_to:str", "segmentation", "tables*", "mosaics*", "catalog"
    )
    from tessella.io.catalog import read_band_table, read_detection, write_catalog
    from tessella.io.level3 import read_mosaic
    from tessella.io.provenance import provenance
    from tessella.measurements import measure_detection

    mosaics = [read_mosaic(path, with_pixels=False) for path in args.mosaics]
    detection = read_detection(args.segmentation, mosaics[0].lattice)
    detected, _ = measure_detection(detection)
    bands = dict(read_band_table(path) for path in args.tables)
    options = {"matched_to": args.matched_to}
    made = provenance("join_bands", options, [args.segmentation, *args.tables, *args.mosaics])
    write_catalog(args.catalog, detected, bands, mosaics, args.matched_to, made)


if __name__ == "__main__":
    main()
