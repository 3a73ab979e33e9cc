"""``python -m renorm`` is ``renorm``."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
