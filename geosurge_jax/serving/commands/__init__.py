"""The work behind the subcommands of `geosurge`."""
