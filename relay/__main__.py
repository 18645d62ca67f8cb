"""Entry point of ``relay`` and of ``python -m relay``."""

from relay.cli.main import relay


def main() -> None:
    """Runs the command in ``sys.argv`` and ends the process with its exit code."""
    relay(prog_name="relay")


if __name__ == "__main__":
    main()
