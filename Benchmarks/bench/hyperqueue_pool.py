"""Runs each line of a file as a task of HyperQueue, two at once: hyperqueue_pool.py FILE FOLDER."""
import pathlib
import sys

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

lines = pathlib.Path(sys.argv[1]).read_text().splitlines()
folder = pathlib.Path(sys.argv[2])
folder.mkdir()
with LocalCluster() as cluster:
    cluster.start_worker(WorkerConfig(cores=2))
    client = cluster.client()
    job = Job()
    for number, line in enumerate(lines):
        job.program(["sh", "-c", line], stdout=str(folder / f"{number}.txt"), stderr=str(folder / f"{number}.err"))
    client.wait_for_jobs([client.submit(job)])
