"""Zenodo through InvenioRDM's REST API: a DOI reserved before the cut, and a record that can never change.

A published record cannot be erased, so nothing about a person is ever sent: `deposit` takes only texts and
counts, by an allow-list of names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote

from curate.core.errors import HubError, RefusedError
from curate.hub.retry import Patience
from curate.hub.zenodo.api import Api, call, endpoint, open_client

_ALLOWED = re.compile(
    r"README\.md|TERMS\.md|CHANGELOG\.md|CITATION\.cff|datacite\.json|dictionary[\w.-]*\.(json|md|txt)"
    r"|counts\.json|release\.sha256|LICENSES?[\w.-]*\.txt"
)


@dataclass(frozen=True, slots=True)
class Description:
    """What the record says: texts, no markup except in `description`; `licenses` are SPDX ids."""

    title: str
    creators: tuple[str, ...]
    publisher: str
    description: str
    released: date
    version: str
    licenses: tuple[str, ...]
    urls: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deposit:
    """A record of Zenodo: a draft whose DOI is reserved, or published."""

    id: str
    doi: str
    url: str
    published: bool


def reserve(description: Description, *, previous: str = "", patience: Patience | None = None) -> Deposit:
    """A draft with a DOI, made once: an earlier draft of the same title and version is taken up.

    `previous` is the id of the version before, so that both share one concept DOI. No file is sent.

    Raises:
        HubError: Zenodo refuses or fails.
    """
    with open_client() as client:
        api = Api(endpoint(), client, patience or Patience())
        draft = _draft(api, description, previous)
        if "doi" not in draft.get("pids", {}):
            draft = _reserve(api, draft["id"])
        return _deposit(draft)


def find(doi: str, *, patience: Patience | None = None) -> Deposit:
    """The record of a DOI, draft or published, among those of the login.

    Raises:
        HubError: Zenodo refuses or fails, or the login has no record of it.
    """
    with open_client() as client:
        api = Api(endpoint(), client, patience or Patience())
        words = {"q": f'pids.doi.identifier:"{doi}"', "size": "100"}
        hits = call(api, "GET", "/api/user/records", params=words)["hits"]["hits"]
    found = [hit for hit in hits if hit.get("pids", {}).get("doi", {}).get("identifier") == doi]
    if not found:
        raise HubError(
            f"Zenodo has no record with the DOI {doi} for this login",
            hint="Use the account, and the ZENODO_ENDPOINT, with which the DOI was reserved.",
        )
    return _deposit(max(found, key=lambda hit: bool(hit.get("is_published", False))))


def deposit(
    reserved: Deposit,
    description: Description,
    files: Mapping[str, bytes],
    *,
    patience: Patience | None = None,
) -> Deposit:
    """Publish a draft with these files, compared by size and MD5 before; a second run finds it done.

    Raises:
        RefusedError: a name that is not on the list of what holds nothing about a person.
        HubError: Zenodo refuses, fails, or holds other files.
    """
    if strange := sorted(name for name in files if not _ALLOWED.fullmatch(name)):
        raise RefusedError(
            f"{strange[0]} is not sent to Zenodo, where nothing can be erased",
            hint="Send the card, licences, data dictionary, counts and the digest of release.json only.",
        )
    with open_client() as client:
        api = Api(endpoint(), client, patience or Patience())
        if (found := _published(api, reserved.id)) is None:
            _describe(api, reserved, description)
            _send_files(api, reserved.id, files)
            found = _publish(api, reserved.id)
        held = _listed(call(api, "GET", f"/api/records/{reserved.id}/files"))
        if held != _wanted(files):
            raise HubError(
                f"Zenodo record {reserved.id} is published with other files than these",
                hint="A published record never changes; reserve a DOI for a new version.",
            )
        return _deposit(found)


def _draft(api: Api, description: Description, previous: str) -> dict[str, Any]:
    """The draft of this title and version, made where there is none."""

    def look() -> dict[str, Any] | None:
        words = {"q": f'metadata.version:"{description.version}"', "size": "100", "sort": "newest"}
        hits = call(api, "GET", "/api/user/records", params=words)["hits"]["hits"]
        return next((hit for hit in hits if _is_draft_of(hit, description)), None)

    if found := look():
        return found
    if previous:  # asking twice gives the same draft
        draft = call(api, "POST", f"/api/records/{quote(previous)}/versions")
        return call(api, "PUT", f"/api/records/{draft['id']}/draft", json=_body(description, draft))
    return call(api, "POST", "/api/records", json=_body(description), look=look)


def _is_draft_of(hit: Mapping[str, Any], description: Description) -> bool:
    said = hit.get("metadata", {})
    same = (said.get("title"), said.get("version")) == (description.title, description.version)
    return same and not hit.get("is_published", False)


def _body(description: Description, draft: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The record's own JSON; `pids` of a draft are sent back, or its DOI would be dropped."""
    people = [{"person_or_org": {"name": name, "type": "organizational"}} for name in description.creators]
    links = [{"identifier": url, "scheme": "url", "relation_type": {"id": "isdescribedby"}} for url in description.urls]
    body: dict[str, Any] = {
        "access": {"record": "public", "files": "public"},
        "files": {"enabled": True},
        "metadata": {
            "resource_type": {"id": "dataset"},
            "title": description.title,
            "creators": people,
            "publisher": description.publisher,
            "publication_date": description.released.isoformat(),
            "version": description.version,
            "description": description.description,
            "rights": [{"id": name.lower()} for name in description.licenses],
            "subjects": [{"subject": word} for word in description.keywords],
            "related_identifiers": links,
        },
    }
    if draft and draft.get("pids"):
        body["pids"] = draft["pids"]
    return body


def _reserve(api: Api, record: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        draft = call(api, "GET", f"/api/records/{record}/draft")
        return draft if "doi" in draft.get("pids", {}) else None

    return call(api, "POST", f"/api/records/{record}/draft/pids/doi", look=look)


def _describe(api: Api, reserved: Deposit, description: Description) -> None:
    """Set the draft's words, and see that the DOI which the release bears is still its DOI."""
    draft = call(api, "GET", f"/api/records/{reserved.id}/draft")
    done = call(api, "PUT", f"/api/records/{reserved.id}/draft", json=_body(description, draft))
    if done.get("pids", {}).get("doi", {}).get("identifier") != reserved.doi:
        raise HubError(
            f"Zenodo draft {reserved.id} no longer has the DOI {reserved.doi}",
            hint="Do not publish it by hand; reserve again and cut the release with the new DOI.",
        )


def _send_files(api: Api, record: str, files: Mapping[str, bytes]) -> None:
    base = f"/api/records/{record}/draft/files"
    wanted, listing = _wanted(files), call(api, "GET", base)
    held = _listed(listing)
    for name in _names(listing) - {name for name in held if held[name] == wanted.get(name)}:
        call(api, "DELETE", f"{base}/{quote(name)}", gone=True)
    for name in sorted(set(files) - {name for name in held if held[name] == wanted.get(name)}):
        _send(api, base, name, files[name])
    if _listed(call(api, "GET", base)) != wanted:
        raise HubError(f"Zenodo draft {record} holds other files than were sent", hint="Run the same command again.")


def _send(api: Api, base: str, name: str, data: bytes) -> None:
    """Announce, send, complete; each step may be repeated."""

    def announced() -> dict[str, Any] | None:
        listing = call(api, "GET", base)
        return listing if name in _names(listing) else None

    place = f"{base}/{quote(name)}"
    call(api, "POST", base, json=[{"key": name}], look=announced)
    call(api, "PUT", f"{place}/content", content=data)
    call(
        api,
        "POST",
        f"{place}/commit",
        look=lambda: {"done": True} if name in _listed(call(api, "GET", base)) else None,
    )


def _publish(api: Api, record: str) -> dict[str, Any]:
    path = f"/api/records/{record}/draft/actions/publish"
    return call(api, "POST", path, look=lambda: _published(api, record))


def _published(api: Api, record: str) -> dict[str, Any] | None:
    found = call(api, "GET", f"/api/records/{record}", missing=True)
    return found if found.get("is_published") else None


def _names(listing: Mapping[str, Any]) -> set[str]:
    return {entry["key"] for entry in listing.get("entries", [])}


def _listed(listing: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
    """Size and checksum of each file that arrived whole."""
    entries: Iterable[Mapping[str, Any]] = listing.get("entries", [])
    return {
        entry["key"]: (int(entry["size"]), str(entry["checksum"]))
        for entry in entries
        if entry.get("status", "completed") == "completed" and "checksum" in entry
    }


def _wanted(files: Mapping[str, bytes]) -> dict[str, tuple[int, str]]:
    return {name: (len(data), f"md5:{hashlib.md5(data).hexdigest()}") for name, data in files.items()}


def _deposit(record: Mapping[str, Any]) -> Deposit:
    links = record.get("links", {})
    return Deposit(
        str(record["id"]),
        str(record["pids"]["doi"]["identifier"]),
        str(links.get("self_html", "")),
        bool(record.get("is_published", False)),
    )
