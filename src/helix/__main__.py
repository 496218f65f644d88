"""python -m helix: the same program as `helix`."""

from helix.cli import main

if __name__ == "__main__":
    main()
