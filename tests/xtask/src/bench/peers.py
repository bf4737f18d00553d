"""Uploads every row of a manifest as an importer written for the occasion does: asyncio, aiohttp and SQLite.

usage: peers.py safe|naive MANIFEST UPLOAD_URL DATABASE

safe:  every intent is durable before its request is sent, and every result is recorded: what telecine does. Changes that are
       due at the same time share one commit.
naive: each result is recorded in a commit of its own. A crash leaves unknown which requests were accepted.
"""
import asyncio
import concurrent.futures
import csv
import sqlite3
import sys

import aiohttp

CONCURRENCY = 64


class Ledger:
    """Runs changes in one thread. Those that wait while a commit is made are committed together."""

    def __init__(self, path):
        self.thread = concurrent.futures.ThreadPoolExecutor(1)
        self.database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA synchronous = FULL")
        self.database.execute(
            "CREATE TABLE upload (url TEXT PRIMARY KEY, state TEXT NOT NULL, video_no TEXT UNIQUE) WITHOUT ROWID"
        )
        self.waiting = []
        self.task = None

    async def change(self, sql, values):
        done = asyncio.get_running_loop().create_future()
        self.waiting.append((sql, values, done))
        if self.task is None:
            self.task = asyncio.create_task(self.commit_waiting())
        await done

    async def commit_waiting(self):
        while self.waiting:
            batch, self.waiting = self.waiting, []
            await asyncio.get_running_loop().run_in_executor(self.thread, self.commit, batch)
            for _, _, done in batch:
                done.set_result(None)
        self.task = None

    def commit(self, batch):
        self.database.execute("BEGIN IMMEDIATE")
        for sql, values, _ in batch:
            self.database.execute(sql, values)
        self.database.execute("COMMIT")


def form_of(row):
    form = [("url", row["url"]), ("unique_id", "default")]
    form += [("tags", tag.strip()) for tag in row["tags"].split(";")]
    form += [("latitude", row["latitude"]), ("longitude", row["longitude"])]
    form += [("datetime_taken", row["datetime"]), ("camera_model", row["camera_model"])]
    return form


async def upload(session, address, row):
    async with session.post(address, data=form_of(row), headers={"Authorization": "any"}) as response:
        answer = await response.json()
    if answer["code"] != "0000":
        raise RuntimeError(f"{row['url']}: {answer}")
    return answer["data"]["videoNo"]


async def safe(session, address, ledger, rows):
    for row in rows:
        await ledger.change("INSERT INTO upload VALUES (?, 'sending', NULL)", (row["url"],))
        video_no = await upload(session, address, row)
        sql = "UPDATE upload SET state = 'accepted', video_no = ? WHERE url = ?"
        await ledger.change(sql, (video_no, row["url"]))


async def naive(session, address, ledger, rows):
    for row in rows:
        video_no = await upload(session, address, row)
        ledger.database.execute("INSERT INTO upload VALUES (?, 'accepted', ?)", (row["url"], video_no))


async def main(way, manifest, address, path):
    ledger = Ledger(path)
    work = {"safe": safe, "naive": naive}[way]
    connector = aiohttp.TCPConnector(limit=CONCURRENCY)
    with open(manifest, newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(work(session, address, ledger, rows) for _ in range(CONCURRENCY)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
