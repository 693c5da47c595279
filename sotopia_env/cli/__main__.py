"""``python -m sotopia_env.cli``."""

from sotopia_env.cli.commands import main

if __name__ == "__main__":
    main()
