"""`python -m cascade`: the `cascade` command where its program is not on the path.

In: a command line. Out: what the command says. Invariant: importing it does nothing.
"""

from __future__ import annotations

if __name__ == "__main__":
    from cascade.cli.app import main

    main()
