"""A server that a page must not reach, in a process of its own: it remembers what it is asked for.

    python trap_server.py

Prints its address. Pages are asked for at `localhost`, so that the address is of another origin. `/hit/…` is remembered; `/hits` gives what was, as JSON, and forgets it. `/unescaped/NUMBER` is a
page that shows an attack of `page_attacks.py` as markup, `/policy/NUMBER` the same with the headers of our pages.
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import page_attacks

from store.web.pages.layout import HEADERS

hits: list[str] = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind, _, rest = self.path.partition("?")[0].lstrip("/").partition("/")
        if kind == "hits":
            self._answer(json.dumps(hits), "application/json")
            hits.clear()
        elif kind in ("unescaped", "policy") and rest.isdigit():
            text = page_attacks.written(int(rest), f"http://127.0.0.1:{self.server.server_address[1]}")
            self._answer(page_attacks.unescaped(text), "text/html", HEADERS if kind == "policy" else {})
        else:
            if kind == "hit":
                hits.append(rest)
            number = rest.partition("/")[0]
            self._answer(f"window.marker={number}" if number.isdigit() else "", "text/javascript")

    def _answer(self, content: str, kind: str, headers: dict[str, str] | None = None) -> None:
        body = content.encode()
        self.send_response(200)
        for name, value in {"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what it is asked for is in `/hits`."""


def main() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
