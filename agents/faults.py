"""What a client's error means: try again, or change something; in a sentence with the remedy."""

from __future__ import annotations

from kafka import errors
from kafka.errors import KafkaError

from pipeline.errors import BypassflowError, ConfigurationError, TransientError
from schemas.kafka import KafkaSettings

_SIGN_IN = (
    errors.SaslAuthenticationFailedError,
    errors.IllegalSaslStateError,
)


def explain(error: KafkaError, settings: KafkaSettings) -> BypassflowError:
    """Return the error that callers are told: TransientError where the same call may succeed later.

    Brokers' messages are not passed on: they may quote what was sent.
    """
    who = f"the broker at {', '.join(settings.bootstrap)}"
    if isinstance(error, _SIGN_IN):
        return ConfigurationError(
            f"{who} refuses {settings.username or 'our token'} by {settings.sasl_mechanism}: wrong name, password or "
            "token; see [kafka] username and password_file, password_env or token_file"
        )
    if isinstance(error, errors.UnsupportedSaslMechanismError):
        return ConfigurationError(f"{who} does not offer {settings.sasl_mechanism}; change [kafka] sasl_mechanism")
    if isinstance(error, errors.AuthorizationError):
        return ConfigurationError(
            f"{who} does not allow {settings.username or 'us'} to use topics that begin with {settings.prefix!r} "
            f"({type(error).__name__}); have it allowed, or change [kafka] prefix or username"
        )
    if isinstance(error, (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)):
        return ConfigurationError(
            f"{who} refuses messages of our size; `bypassflow topics check` says which topic's max.message.bytes is "
            "too small"
        )
    if isinstance(error, (errors.KafkaConnectionError, errors.MetadataEmptyBrokerList, errors.NodeNotReadyError)):
        return TransientError(f"{who} cannot be reached; see [kafka] bootstrap, or set BYPASSFLOW_BOOTSTRAP")
    if isinstance(error, errors.KafkaTimeoutError):
        return TransientError(f"{who} did not answer in time")
    return TransientError(f"{who} failed with {type(error).__name__}")
