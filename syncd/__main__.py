"""`python -m syncd`, the same as the command `syncd`."""

import sys

from syncd.cli import main

sys.exit(main())
