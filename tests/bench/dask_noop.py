# SPDX-License-Identifier: MIT
"""dask_noop.py TASKS: no-ops a second of distributed with its defaults, on two workers of one thread each."""
import sys
import time

from distributed import Client, LocalCluster


def increment(x):
    return x + 1


def main():
    tasks = int(sys.argv[1])
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster, Client(cluster) as client:
        client.gather(client.map(increment, range(-100, 0)))
        begin = time.monotonic()
        results = client.gather(client.map(increment, range(tasks)))
        seconds = time.monotonic() - begin
        assert results == list(range(1, tasks + 1))
        print("rate", tasks / seconds)


if __name__ == "__main__":
    main()
