"""``python -m designs.learner``."""

import sys


def _start() -> None:
    try:
        from designs.learner.cli import main  # takes a second: Ctrl-C may come before the commands are there
        main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    _start()
