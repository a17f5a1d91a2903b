"""A crawler of a small made-up web: a queue and its results in two tables, several threads, stopped and resumed.

    python crawl.py FOLDER
"""

import sys
import threading
from pathlib import Path

from sqlitedict import SqliteDict

SITE = {
    "/": ["/about", "/news", "/shop"],
    "/about": ["/", "/team"],
    "/news": ["/news/1", "/news/2", "/missing"],
    "/news/1": ["/", "/news"],
    "/news/2": ["/news/1", "/shop"],
    "/shop": ["/shop/tea", "/shop/cups"],
    "/shop/tea": ["/shop"],
    "/shop/cups": ["/shop", "/shop/tea"],
    "/team": ["/about"],
}


class Crawler:
    """Fetches pages until the queue is empty, or `limit` pages were fetched."""

    def __init__(self, path, limit):
        self.queue = SqliteDict(path, tablename="queue", autocommit=True)
        self.pages = SqliteDict(path, tablename="pages", autocommit=True)
        self.left = limit
        self.lock = threading.Lock()
        if not self.queue and not self.pages:
            self.queue["/"] = {"depth": 0, "from": None}

    def take(self):
        with self.lock:
            if not self.left or not self.queue:
                return None
            self.left -= 1
            return self.queue.popitem()

    def fetch(self, url, job):
        links = SITE.get(url)
        page = {"depth": job["depth"], "status": 200 if links else 404, "links": links or []}
        with self.lock:
            self.pages[url] = page
            for link in page["links"]:
                if link not in self.pages and link not in self.queue:
                    self.queue[link] = {"depth": job["depth"] + 1, "from": url}

    def work(self):
        while (item := self.take()) is not None:
            self.fetch(*item)

    def close(self):
        self.queue.close()
        self.pages.close()


def crawl(path, limit, threads=1):
    crawler = Crawler(path, limit)
    workers = [threading.Thread(target=crawler.work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(f"fetched {len(crawler.pages)}, waiting {sorted(crawler.queue)}")
    crawler.close()


def report(path):
    print("tables:", SqliteDict.get_tablenames(path))
    with SqliteDict(path, tablename="pages", flag="r") as pages:
        for url, page in sorted(pages.items()):
            print(f"{page['status']} {url} links to {len(page['links'])}")
        print("missing:", [url for url, page in pages.items() if page["status"] != 200])
        try:
            pages["/"] = None
        except RuntimeError:
            print("the report only reads")


def main(folder):
    path = str(Path(folder, "crawl.sqlite"))
    crawl(path, 1)
    crawl(path, 2)
    crawl(path, 3)
    crawl(path, 1000, threads=4)
    report(path)


main(sys.argv[1])
