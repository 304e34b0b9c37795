"""Mistakes about the addresses of the API, the authorization server and the proxy."""

from __future__ import annotations

from tests.cli.mistakes.authorization import LONG_AGO, nothing_is_stored
from tests.cli.mistakes.scene import CANARY, Scene
from tests.cli.mistakes.table import Mistake, Theme

ADD = "syncd installations add revento --credentials token.json"
DOCUMENTED = "Compare the installation's API address with the documentation"
NETWORK = "is the address in the settings right, and this machine's network up?"


def api(scene: Scene, url: str) -> None:
    """revento.api_url is this."""
    scene.give()
    scene.set(REVENTO__API_URL=url)


def auth(scene: Scene, url: str) -> None:
    """An installation that has to renew its token at this address."""
    assert scene.warehouse
    scene.set(REVENTO__AUTH_URL=url)
    scene.warehouse.variables["SYNCD_REVENTO__AUTH_URL"] = url
    scene.connect(obtained_at=LONG_AGO)


def wrong_client(scene: Scene) -> None:
    scene.connect(obtained_at=LONG_AGO)
    scene.set(REVENTO__CLIENT_SECRET=CANARY)


def proxy(scene: Scene, url: str) -> None:
    """http.proxy is this."""
    scene.give()
    scene.set(HTTP__PROXY=url)


def is_not_parked(scene: Scene) -> None:
    """A wrong address says nothing of the consent."""
    assert scene.query("SELECT state FROM syncd.installations") == [("active",)]


THEME = Theme(
    "Addresses",
    (
        Mistake(
            "A web page instead of the API",
            ADD,
            "127.0.0.1:‹port› answered with text/html, not with what was asked for",
            f"is that the API's host? {DOCUMENTED}",
            1,
            "revento.api_url leads to a web site, or a sign-in page stands before the API. Nothing is stored.",
            lambda scene: api(scene, f"http://127.0.0.1:{scene.web(200)}/{CANARY}"),
            nothing_is_stored,
        ),
        Mistake(
            "Not found, whatever is asked for",
            ADD,
            "127.0.0.1:‹port› answered with no error code of Revento's (HTTP 404)",
            f"is the API at 127.0.0.1:‹port›? {DOCUMENTED}",
            1,
            "The host is no API's, or the path of revento.api_url is wrong. Nothing is stored.",
            lambda scene: api(scene, f"http://127.0.0.1:{scene.web(404)}/{CANARY}"),
            nothing_is_stored,
        ),
        Mistake(
            "https to a port that speaks http",
            ADD,
            "no TLS connection with 127.0.0.1:‹port›",
            "does that port speak https, with a certificate that a known authority has signed?",
            75,
            "The port speaks http, or its certificate is not to be trusted. Nothing is stored.",
            lambda scene: api(scene, f"https://127.0.0.1:{scene.web(200)}/{CANARY}"),
            nothing_is_stored,
        ),
        Mistake(
            "An API host that does not exist",
            ADD,
            "there is no host api.invalid",
            NETWORK,
            75,
            "The name does not resolve. Nothing is stored.",
            lambda scene: api(scene, f"https://api.invalid/{CANARY}"),
            nothing_is_stored,
        ),
        Mistake(
            "An API host that does not answer",
            ADD,
            "no connection to 127.0.0.1:1",
            NETWORK,
            75,
            "Nothing listens there, or a firewall stands between. Nothing is stored.",
            lambda scene: api(scene, f"https://127.0.0.1:1/{CANARY}"),
            nothing_is_stored,
        ),
        Mistake(
            "A web page instead of the authorization server",
            "syncd sync --stream event",
            "revento/‹event id› event: the access token could not be renewed: "
            "what 127.0.0.1:‹port› answered is no token reply",
            "is revento.auth_url, or the installation's, the authorization server's address?",
            75,
            "The refresh token may be spent, so it is asked for again in the next round; correct the address before.",
            lambda scene: auth(scene, f"http://127.0.0.1:{scene.web(200)}/{CANARY}"),
            is_not_parked,
        ),
        Mistake(
            "Not found at the authorization server",
            "syncd sync --stream event",
            "revento/‹event id› event: the token endpoint at 127.0.0.1:‹port› answered HTTP 404, "
            "which is no word on the grant",
            "is revento.auth_url right, and does nothing stand between?",
            2,
            "revento.auth_url leads elsewhere. The consent is untouched.",
            lambda scene: auth(scene, f"http://127.0.0.1:{scene.web(404)}/{CANARY}"),
            is_not_parked,
        ),
        Mistake(
            "A wrong client secret",
            "syncd sync --stream event",
            "revento/‹event id› event: the token endpoint refused revento.client_id or revento.client_secret",
            "compare them with the developer console; after a rotation the old secret may be dead",
            2,
            "The consent is untouched.",
            wrong_client,
            is_not_parked,
        ),
        Mistake(
            "A proxy that asks who you are",
            ADD,
            "the proxy of http.proxy asks for a user and a password (HTTP 407)",
            "write user and password into http.proxy, before its host and with an @ behind them",
            2,
            "http.proxy holds no user and password, or wrong ones. Nothing is stored.",
            lambda scene: proxy(scene, f"http://me:{CANARY}@127.0.0.1:{scene.web(407)}"),
            nothing_is_stored,
        ),
        Mistake(
            "A proxy that asks who you are, before https",
            f"{ADD} --api-url https://api.invalid --auth-url https://auth.invalid",
            "the proxy of http.proxy asks for a user and a password (HTTP 407)",
            "write user and password into http.proxy, before its host and with an @ behind them",
            2,
            "The same where the proxy only passes the connection on.",
            lambda scene: proxy(scene, f"http://me:{CANARY}@127.0.0.1:{scene.web(407)}"),
            nothing_is_stored,
        ),
        Mistake(
            "A proxy that is not there",
            ADD,
            "no connection to 127.0.0.1:1, the proxy of http.proxy",
            NETWORK,
            75,
            "Nothing listens at http.proxy. The proxy of the environment (https_proxy) is not obeyed.",
            lambda scene: proxy(scene, f"http://me:{CANARY}@127.0.0.1:1"),
            nothing_is_stored,
        ),
    ),
)
