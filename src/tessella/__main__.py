"""`python -m tessella` is the command `tessella`."""

from tessella.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
