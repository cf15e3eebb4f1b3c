"""`python -m chimle`: the command line where the package is not installed."""

from chimle.use.cli import main

main()
