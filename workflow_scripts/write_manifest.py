"""Seals -> the manifest: every product of the run with its size and SHA-256."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Go from the last products back to all that they come from, and write it down."""
    args = stage_arguments(__doc__, argv, "targets*", "manifest")
    from tessella.io.manifest import write_manifest
    from tessella.io.provenance import provenance

    origin = provenance("write_manifest", {}, args.targets)
    write_manifest(args.manifest, args.targets, origin)


if __name__ == "__main__":
    main()
