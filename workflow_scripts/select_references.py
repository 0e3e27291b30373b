"""Record which reference files, with their hashes, serve one kind of exposure."""

import json

from tessella.stage import stage_arguments


def main(argv=None):
    """Write the hashes of the chosen files; who reads their arrays checks those."""
    args = stage_arguments(__doc__, argv, "reftypes:json", "references*", "selection")
    from tessella.io.atomic import replacing
    from tessella.io.provenance import provenance
    from tessella.io.seals import sha256

    files = {
        reftype: {"path": str(path), "sha256": sha256(path, head_only=True)}
        for reftype, path in zip(args.reftypes, args.references, strict=True)
    }
    origin = provenance("select_references", {}, args.references)
    with replacing(args.selection, origin) as part:
        part.write_text(json.dumps({"files": files}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
