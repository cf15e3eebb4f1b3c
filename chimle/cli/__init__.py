"""The command line `chimle`: one file per command, assembled in `main`."""
