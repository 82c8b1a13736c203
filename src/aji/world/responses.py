"""What a server answered: the body, the HTTP headers, and what the crawler noted about it."""

import random
from dataclasses import dataclass

from aji.world.sites import Site


SERVERS = (
    "nginx",
    "Apache",
    "Apache/2.4.57 (Debian)",
    "nginx/1.24.0",
    "cloudflare",
    "Microsoft-IIS/10.0",
    "LiteSpeed",
)


@dataclass
class Response:
    """An HTTP response. `identified` is the type that the crawler found by looking at the body, "" if it did not.

    `truncated` is the value of WARC-Truncated, "" for a whole body; `length` is a Content-Length that differs from the
    true one, as when the connection broke.
    """

    body: bytes
    content_type: str
    status: str = "200 OK"
    identified: str = "text/html"
    headers: tuple[tuple[str, str], ...] = ()
    truncated: str = ""
    length: int | None = None

    def http(self, rng: random.Random) -> bytes:
        """Status line, headers and body as they came over the wire."""
        headers = [
            ("Date", f"Sat, 14 Mar 2026 {rng.randint(10, 23)}:{rng.randint(10, 59)}:{rng.randint(10, 59)} GMT"),
            ("Server", rng.choice(SERVERS)),
            ("Content-Type", self.content_type),
        ]
        if rng.random() < 0.3:
            headers.append(("Set-Cookie", f"session={rng.getrandbits(64):016x}; Path=/; HttpOnly"))
        if rng.random() < 0.5:
            headers.append(("Cache-Control", rng.choice(("no-cache", "max-age=600", "private", "max-age=0"))))
        length = len(self.body) if self.length is None else self.length
        headers += [*self.headers, ("Content-Length", str(length)), ("Connection", "close")]
        lines = [f"HTTP/1.1 {self.status}", *(f"{name}: {value}" for name, value in headers if value)]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


def html_response(site: Site, body: bytes, **more) -> Response:
    """A page of a site, with the charset in the header if the site's server sends one."""
    charset = f"; charset={site.charset.http}" if site.charset.http else ""
    return Response(body, f"{site.content_type}{charset}", identified=site.content_type, **more)
