"""Every error that bypassflow raises on purpose.

::

    BypassflowError
    ├── InvalidRecord        one record cannot be used: dead letter, never retried
    ├── TransientError       may succeed when repeated: retry with backoff
    │   └── Fenced           another worker has taken over: this one ends, and joins anew
    └── ConfigurationError   the run cannot start or go on as configured: stop
        ├── UnknownFormat    no source recognises a file
        └── NotShown         privacy forbids what is asked
"""


class BypassflowError(Exception):
    """Base of all errors that carry a sentence for the user."""


class InvalidRecord(BypassflowError):
    """A record that cannot be used. Its message never holds the record's text."""


class TransientError(BypassflowError):
    """Something outside failed in a way that may pass."""


class Fenced(TransientError):
    """Another worker claimed the partition; what this one said since counts for nobody."""


class ConfigurationError(BypassflowError):
    """Settings, arguments or files do not fit; the message says what to change."""


class UnknownFormat(ConfigurationError):
    """No source recognises a file; the message says what was tried."""


class NotShown(ConfigurationError):
    """What is asked would tell of single people, and the company's settings or the asker's rights do not allow it."""
