"""`python -m store`: the command line."""

from store.cli import main

if __name__ == "__main__":
    main()
