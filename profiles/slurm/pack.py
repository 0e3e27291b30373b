"""Pack the Python environment of this clone into one file, for jobs to unpack on their node.

An environment is tens of thousands of small files; thousands of jobs that import from a shared
disk bring its metadata server to its knees. Beside the pack PACK.tar this writes PACK.sh, which
each job sources first: it unpacks the file once a node, and runs from there.

    .venv/bin/python profiles/slurm/pack.py /shared/me/tessella.tar --scratch '/local/$USER'
"""

import argparse
import hashlib
import shlex
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path

import tessella

#: Not needed by any job; ``site-packages`` of the base interpreter is not ours.
LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "ensurepip", "site-packages", "dist-packages"}

SCRIPT = """\
# Written by pack.py, to be sourced by each job: unpacks the environment where this node has not
# got it yet, and puts it first.
tessella_home={scratch}/tessella-{digest}
tessella_unpack() {{
    [ -d "$tessella_home" ] && return
    mkdir -p {scratch} || return
    (
        flock 9 || exit
        [ -d "$tessella_home" ] && exit
        rm -rf "$tessella_home.part" && mkdir "$tessella_home.part" &&
            tar -xf {pack} -C "$tessella_home.part" &&
            printf 'home = %s\\n' {base} > "$tessella_home.part/env/pyvenv.cfg" &&
            mv "$tessella_home.part" "$tessella_home"
    ) 9> "$tessella_home.lock"
}}
tessella_unpack || {{
    echo "ERROR: $(hostname): {pack} could not be unpacked in $tessella_home" >&2
    exit 1
}}
# An MPI job has more nodes than the one that this script starts on.
if [ "${{SLURM_JOB_NUM_NODES:-1}}" -gt 1 ] && [ "${{1:-}}" != here ]; then
    srun --mpi=none --ntasks-per-node=1 --ntasks="$SLURM_JOB_NUM_NODES" sh {script} here || exit 1
fi
PATH=$tessella_home/env/bin:$PATH
export PATH
"""


def members() -> Iterator[tuple[Path, str]]:
    """Return the files of the environment, and what they are called in the pack."""
    environment, base = Path(sys.prefix), Path(sys.base_prefix)
    packages = Path(sysconfig.get_path("purelib")).relative_to(environment)
    source = Path(tessella.__file__).parents[1]
    for path in sorted((environment / "lib").rglob("*")):
        if path.suffix != ".pth" or str(source) not in path.read_text():
            yield path, f"env/{path.relative_to(environment)}"
    if source != environment / packages:  # the clone's own package, which is not copied there
        for path in sorted(source.rglob("*")):
            yield path, f"env/{packages / path.relative_to(source)}"
        # Jobs run the clone's scripts; these are here to be counted with the version of the code.
        for path in sorted((source.parent / "workflow_scripts").glob("*.py")):
            yield path, f"env/{packages.parent}/workflow_scripts/{path.name}"
    for path in sorted((environment / "bin").iterdir()):
        if is_program(path):
            yield path, f"env/bin/{path.name}"
    if is_packed(base):
        library = base / "lib" / f"python{version()}"
        for path in sorted(library.rglob("*")):
            if not LEFT_OUT & set(path.relative_to(library).parts):
                yield path, f"base/{path.relative_to(base)}"
        yield base / f"bin/python{version()}", f"base/bin/python{version()}"


def version() -> str:
    """Return the version of Python, as names of files have it."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def is_packed(base: Path) -> bool:
    """Tell whether the base interpreter must travel along; each node has its own in /usr."""
    return base != Path("/usr")


def is_program(path: Path) -> bool:
    """Tell whether a file of ``bin`` is a program, and not a script that names its interpreter."""
    if path.is_symlink() or not path.is_file():
        return False
    return path.read_bytes()[:4] == b"\x7fELF"


def write_pack(pack: Path) -> str:
    """Write the pack and return its hash; the interpreter is a link that `base` decides."""
    base = f"../../base/bin/python{version()}"
    target = base if is_packed(Path(sys.base_prefix)) else f"/usr/bin/python{version()}"
    with tarfile.open(pack, "w") as tar:
        for path, name in members():
            tar.add(path, name, recursive=False)
        for name in ("python", "python3", f"python{version()}"):
            link = tarfile.TarInfo(f"env/bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
    with pack.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def main() -> None:
    """Write pack and script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pack", type=lambda word: Path(word).resolve(), help="such as x.tar")
    parser.add_argument(
        "--scratch",
        default="/tmp",
        help="folder of a node's own disk; its $VARIABLES are the job's",
    )
    args = parser.parse_args()
    script = args.pack.with_suffix(".sh")
    digest = write_pack(args.pack)
    base = '"$tessella_home/base/bin"' if is_packed(Path(sys.base_prefix)) else "/usr/bin"
    script.write_text(
        SCRIPT.format(
            scratch=f'"{args.scratch}"',
            digest=digest,
            pack=shlex.quote(str(args.pack)),
            script=shlex.quote(str(script)),
            base=base,
        )
    )
    sys.stdout.write(f"packed {args.pack} ({args.pack.stat().st_size / 1e9:.1f} GB); ")
    sys.stdout.write(f"say in your site's profile:\n    precommand: . {shlex.quote(str(script))}\n")


if __name__ == "__main__":
    main()
