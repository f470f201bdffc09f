"""``python -m bend_hf`` and ``accelerate launch -m bend_hf``: the same command line as ``bend-hf``."""

import sys

from bend_hf.cli import main

if __name__ == "__main__":
    sys.exit(main())
