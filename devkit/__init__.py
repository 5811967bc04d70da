"""What a TEN app does not need: embedded host, local server, command line. Not part of the TEN package."""
