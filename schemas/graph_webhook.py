"""`[[receiver]]` of kind graph: change notifications of Microsoft Graph, and what they point at."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from schemas.webhooks import Webhook, file_field, variable_field, whole_address

_RESOURCES: Final = {"teams": "/communications/callRecords", "graph_mail": "/users/"}


class GraphWebhook(Webhook):
    """`[[receiver]]` of kind graph: call records of Teams, or messages of mailboxes, of one tenant."""

    secrets: ClassVar[tuple[str, ...]] = ("secret", "client_state")
    kind: Literal["graph"] = Field(
        description="Takes in change notifications of Microsoft Graph; the secret is the application's.",
        examples=["graph"],
    )
    format: Literal["teams", "graph_mail"] = Field(
        description="teams: call records; graph_mail: messages.", examples=["teams"]
    )
    tenant: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]*$",
        description="Id of your tenant, or one of its domains.",
        examples=["dc368399-474c-4d40-900c-6265431fd81f"],
    )
    client_id: str = Field(
        pattern=r"^[A-Za-z0-9-]+$",
        description="Id of the application that was registered for this.",
        examples=["b2f7a3c0-5d0e-4f3e-9b7a-5f0e6d7c8b9a"],
    )
    client_state_env: str | None = variable_field(  # type: ignore[assignment]
        "a text of your own that each notification has to bring back", "GRAPH_CLIENT_STATE"
    )
    client_state_file: str | None = file_field("that text", "graph.state")  # type: ignore[assignment]
    public_url: str = Field(
        description="The address at which Graph reaches this receiver; subscriptions are made with it.",
        examples=["https://hooks.acme.fi/graph"],
    )
    resources: tuple[str, ...] = Field(
        default=("/communications/callRecords",),
        min_length=1,
        description="What is subscribed to: /communications/callRecords, or messages of users such as "
        "/users/sales@acme.fi/mailFolders('inbox')/messages.",
        examples=[["/communications/callRecords"]],
    )
    sign_in_url: str = Field(
        default="https://login.microsoftonline.com",
        description="Where the application signs in; national clouds have others.",
        examples=["https://login.microsoftonline.us"],
    )
    graph_url: str = Field(
        default="https://graph.microsoft.com",
        description="Where Graph answers; national clouds have others.",
        examples=["https://graph.microsoft.us"],
    )

    @field_validator("public_url", "sign_in_url", "graph_url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        return whole_address(value.rstrip("/"), schemes=("https",))

    @model_validator(mode="after")
    def _check_resources(self) -> GraphWebhook:
        start = _RESOURCES[self.format]
        if any(not each.startswith(start) or "?" in each or ".." in each for each in self.resources):
            problem = f'resources of format = "{self.format}" begin with {start}, without a query'
            raise PydanticCustomError("inconsistent", "{problem}", {"problem": problem})
        return self
