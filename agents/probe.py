"""Why a broker does not let us in.

kafka-python tries again until its time is up and then says only that it is, whether the password is wrong, the
certificate is somebody else's or nothing listens there (3.0.12). One plain connection by aiokafka says which.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from pipeline.errors import BypassflowError, ConfigurationError, TransientError
from schemas.kafka import KafkaSettings, Secrets

_PATIENCE_SECONDS: Final = 4


def probe(settings: KafkaSettings, secrets: Secrets) -> BypassflowError | None:
    """Return why none of the brokers lets us in, in a sentence with the remedy; None when one does."""
    # A thread of its own: the caller's may run an event loop.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(_probe(settings, secrets))).result()


async def _probe(settings: KafkaSettings, secrets: Secrets) -> BypassflowError | None:
    from agents.access import aiokafka_options

    # Its warnings say less than we do.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    options = aiokafka_options(settings, secrets)
    answers = await asyncio.gather(*(_knock(address, settings, options) for address in settings.bootstrap))
    refusals = [answer for answer in answers if answer is not None]
    if len(refusals) < len(answers):
        return None
    # What can be mended comes before a broker that is away.
    return next((refusal for refusal in refusals if isinstance(refusal, ConfigurationError)), refusals[0])


async def _knock(address: str, settings: KafkaSettings, options: dict[str, Any]) -> BypassflowError | None:
    from aiokafka import errors
    from aiokafka.conn import create_conn
    from aiokafka.protocol.admin import ApiVersionRequest

    host, _, port = address.rpartition(":")
    who = f"the broker at {address}"
    security = settings.security_protocol
    connection = None
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            connection = await create_conn(
                host.strip("[]"), int(port), request_timeout_ms=_PATIENCE_SECONDS * 1000, **options
            )
            # aiokafka overlooks that a token was refused; the next answer tells.
            if (await connection.send(ApiVersionRequest())).error_code:
                return _refused(who, settings)
    except ssl.SSLCertVerificationError as error:
        return ConfigurationError(
            f"{who} shows a certificate that we do not trust ({error.verify_message}); name its authority in [kafka] "
            "ca_file, or see that bootstrap has the name that stands in the certificate"
        )
    except ssl.SSLError as error:
        return ConfigurationError(
            f"{who} does not speak {security} as we do ({(error.reason or 'no reason given').lower()}); see [kafka] "
            "security_protocol"
        )
    except (errors.UnsupportedSaslMechanismError, errors.IllegalSaslStateError):
        return ConfigurationError(f"{who} does not offer {settings.sasl_mechanism}; change [kafka] sasl_mechanism")
    except (errors.SaslAuthenticationFailed, errors.AuthenticationFailedError):
        return _refused(who, settings)
    except TimeoutError:
        return TransientError(
            f"{who} did not answer within {_PATIENCE_SECONDS} seconds; see that it speaks {security}, and that no "
            "firewall is in between"
        )
    except errors.KafkaError:
        if security.endswith("ssl"):
            return ConfigurationError(
                f"{who} hangs up; see that it speaks {security}, and whether it asks for a certificate of ours: "
                "[kafka] security_protocol, certificate_file and key_file"
            )
        return TransientError(f"{who} hangs up; see that it speaks {security}: [kafka] security_protocol")
    except OSError as error:
        # asyncio puts its own words, with the address, in place of the system's.
        known = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else error.strerror
        reason = (known or type(error).__name__).lower()
        return TransientError(
            f"{who} cannot be reached: {reason}; start it, or name another in [kafka] bootstrap or BYPASSFLOW_BOOTSTRAP"
        )
    finally:
        if connection is not None:
            connection.close()
    return None


def _refused(who: str, settings: KafkaSettings) -> ConfigurationError:
    if settings.sasl_mechanism == "OAUTHBEARER":
        return ConfigurationError(f"{who} refuses our token; see that [kafka] token_file holds one that is valid now")
    return ConfigurationError(
        f"{who} refuses {settings.username}: wrong name or password; see [kafka] username and "
        f"{'password_file' if settings.password_file else 'password_env'}"
    )
