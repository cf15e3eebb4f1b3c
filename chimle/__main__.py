"""`python -m chimle`: the command line where the package is not installed."""

from chimle.cli.main import main

main()
