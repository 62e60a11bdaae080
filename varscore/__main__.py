"""``python -m varscore`` is ``varscore``."""

from varscore.cli.boundary import main

if __name__ == "__main__":
    main()
