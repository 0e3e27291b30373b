"""L3 -> segmentation map: detect sources on all bands together."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Read the coadds of all bands, detect, write the segments."""
    args = stage_arguments(__doc__, argv, "options", "mosaics*", "segmentation")
    from tessella.io.catalog import write_detection
    from tessella.io.level3 import read_mosaic
    from tessella.io.provenance import provenance
    from tessella.sources.detect import detect

    mosaics = [read_mosaic(path) for path in args.mosaics]
    detection = detect(mosaics, **args.options)
    made = provenance("detect_sources", args.options, args.mosaics)
    write_detection(args.segmentation, detection, mosaics, made)


if __name__ == "__main__":
    main()
