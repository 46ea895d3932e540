"""What a client's error means: try again, or change something; in a sentence with the remedy."""

from __future__ import annotations

from kafka import errors
from kafka.errors import KafkaError

from agents.probe import probe
from pipeline.errors import BypassflowError, ConfigurationError, TransientError
from schemas.kafka import KafkaSettings, Secrets


def explain(error: KafkaError, settings: KafkaSettings, secrets: Secrets) -> BypassflowError:
    """Return the error that callers are told: TransientError where the same call may succeed later.

    A client that gave up says nothing of the reason; then the broker is asked once more, which may take four seconds.
    Brokers' messages are not passed on: they may quote what was sent.
    """
    who = f"the broker at {', '.join(settings.bootstrap)}"
    if isinstance(error, (errors.SaslAuthenticationFailedError, errors.UnsupportedSaslMechanismError)):
        return probe(settings, secrets) or TransientError(f"{who} refused us, and then did not")
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
    if isinstance(error, errors.RetriableError):
        return probe(settings, secrets) or TransientError(f"{who} did not do it in time ({type(error).__name__})")
    return TransientError(f"{who} failed with {type(error).__name__}")
