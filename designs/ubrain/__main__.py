"""``python -m designs.ubrain``."""

import sys


def _start() -> None:
    try:
        from designs.ubrain.cli import main
        main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    _start()
