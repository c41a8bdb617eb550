"""`python -m multiloss`: the command line."""

from multiloss.cli import main

raise SystemExit(main())
