"""Seals -> the manifest: every product of the run with its size and SHA-256."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Go from the report back to all that it comes from, and write it down."""
    args = stage_arguments(__doc__, argv, "page", "manifest")
    from tessella.io.manifest import write_manifest
    from tessella.io.provenance import provenance

    origin = provenance("write_manifest", {}, [args.page])
    write_manifest(args.manifest, [args.page], origin)


if __name__ == "__main__":
    main()
