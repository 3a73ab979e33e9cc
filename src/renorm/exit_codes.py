"""Exit codes of the command line; 0 is success, and ``docs/reliability.md`` has them as a table."""

CANNOT_GO_ON = 1  # the run failed, though its input was fine
BAD_INPUT = 2  # an error about the input, of type InputError, or about a file
INTERRUPTED = 130  # Ctrl-C: 128 and the signal's number, as shells count; SIGTERM ends with 143 in the same way
NOBODY_READS = 141  # the reader of standard output has gone: 128 and the number of SIGPIPE
