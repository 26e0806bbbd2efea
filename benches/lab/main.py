"""The command line of benches/run."""

import hashlib
import os
import resource
import signal
import sys
import time

import downloads
import guard
import identity
import link
import memory
import network
import programs
import proxy
import remote
import report
import small
import spread
import storm
import uploads

PARTS = {
    "get": downloads.part_get,
    "cold": downloads.part_cold,
    "upload": uploads.part_upload,
    "uploads": uploads.part_uploads,
    "head": small.part_head,
    "list": small.part_list,
    "workers": spread.part_workers,
    "identity": identity.part_identity,
    "rss": memory.part_rss,
    "idle": memory.part_idle,
    "proxy": proxy.part_proxy,
    "s3": remote.part_s3,
    "swift": remote.part_swift,
    "many": remote.part_many,
    "storm": storm.part_storm,
    "gigabit": link.part_gigabit,
    "uring-refused": uploads.part_uring_refused,
}


class Lab:
    """What the parts share: programs, a folder in memory, and how long to measure."""

    def __init__(self, quick, folder, built):
        self.quick, self.root, self.programs = quick, folder, built
        self.node = built["glance-api"]
        self.load = programs.Load(built["load"])
        self.rounds = self.scale(5, 2)
        self.seconds = self.scale(2, 0.5)

    def scale(self, full, quick):
        return quick if self.quick else full

    def folder(self, name):
        path = f"{self.root}/{name}"
        os.makedirs(path, exist_ok=True)
        return path

    def md5_of(self, file):
        return hashlib.file_digest(file, "md5").hexdigest()


def run_part(name, quick, built):
    print(f"{name}", flush=True)
    begun = time.monotonic()
    with guard.watched_folder() as folder:
        lab = Lab(quick, folder, built)
        try:
            section = PARTS[name](lab)
        finally:
            lab.load.end_all()
    if section.skipped:
        print(f"  skipped: {section.skipped}")
    print(f"  {time.monotonic() - begun:.0f} s", flush=True)
    return section.as_json() | {
        "date": time.strftime("%Y-%m-%d"), "machine": report.machine(), "versions": report.versions(),
        "commands": lab.load.commands}


def main(arguments):
    quick = "--quick" in arguments
    names = [word for word in arguments if word != "--quick"] or list(PARTS)
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        sys.exit(f"unknown: {' '.join(unknown)}\nparts: {' '.join(PARTS)}\n--quick: a smoke run")
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda *_: sys.exit(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    built = programs.build()
    network.enter()
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    figures = f"{target}/bench{'-quick' if quick else ''}/figures.json"
    sections = report.load(figures)
    failed = []
    for name in names:
        try:
            sections[name] = run_part(name, quick, built)
        except (RuntimeError, OSError) as error:
            print(f"  failed: {error}", flush=True)
            failed.append(name)
            continue
        report.save(figures, sections)
        report.write(f"{target}/bench-quick" if quick else "benches", sections, list(PARTS))
    if failed:
        sys.exit(f"failed: {' '.join(failed)}")


main(sys.argv[1:])
