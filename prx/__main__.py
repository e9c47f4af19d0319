"""`python -m prx` is the same as `prx`."""

from prx.cli import main

if __name__ == "__main__":
    main()
