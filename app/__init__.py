"""Where everything meets: the application, the command line, the demo city."""
