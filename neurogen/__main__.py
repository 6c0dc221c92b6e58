"""``python -m neurogen``: the command ``neurogen`` where it is not on the path."""


def _start() -> None:
    import sys

    try:
        from neurogen.flow.cli import main
        main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    _start()
