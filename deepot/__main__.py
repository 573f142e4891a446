"""`python -m deepot` is the command `deepot`."""

import sys

from deepot_launcher import main

if __name__ == "__main__":
    sys.exit(main())
