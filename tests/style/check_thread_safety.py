#!/usr/bin/env python3
"""Checks with Clang that what ABSL_GUARDED_BY guards is read and written under its mutex.

    check_thread_safety.py [--compiler CLANG] COMPILE_COMMANDS

Checks the sources that name a mutex, or whose own header does; GCC, which builds the project, does not
know the annotations. Prints what Clang says of each and exits with 1 if there was anything.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

NAMES_MUTEX = re.compile(r"absl::(Mutex|MutexLock|CondVar)\b|\bABSL_(GUARDED_BY|EXCLUSIVE_LOCKS_REQUIRED|LOCKS_EXCLUDED)\b")


def names_mutex(path):
    return path.exists() and NAMES_MUTEX.search(path.read_text()) is not None


def concerns(command):
    source = pathlib.Path(command["file"])
    return names_mutex(source) or names_mutex(source.with_suffix(".h"))


def check(compiler, command):
    """What Clang says of a source: nothing where all is well."""
    # The compiler that the build has may stand behind a launcher (env, ccache).
    words = shlex.split(command["command"])
    flags = words[next(i for i, word in enumerate(words) if word.startswith("-")):]
    kept = [flag for flag in flags if flag.startswith(("-D", "-std="))]
    for i, flag in enumerate(flags):
        if flag in ("-isystem", "-idirafter"):
            kept += flags[i:i + 2]
        elif flag.startswith("-I"):
            kept.append(flag)
    run = subprocess.run(
        [compiler, "-fsyntax-only", "-Wno-everything", "-Wthread-safety", "-Werror=thread-safety", *kept, command["file"]],
        cwd=command["directory"], capture_output=True, text=True, check=False)
    return run.stderr if run.returncode != 0 or run.stderr else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compiler", default="clang++")
    parser.add_argument("compile_commands", type=pathlib.Path)
    arguments = parser.parse_args()

    commands = [each for each in json.loads(arguments.compile_commands.read_text()) if concerns(each)]
    if not commands:
        sys.exit(f"{arguments.compile_commands} has no source that names a mutex")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        said = list(pool.map(lambda each: check(arguments.compiler, each), commands))
    for each in said:
        sys.stderr.write(each)
    print(f"{len(commands)} sources checked, {sum(1 for each in said if each)} with errors")
    sys.exit(any(said))


if __name__ == "__main__":
    main()
