"""Reads as much of a Dockerfile as the checks need: stages, and the instructions in them.

`dockerfile.py FILE STAGE` prints a stage's instructions, with those of the stages it is built on, one
JSON array [instruction, text] a line; deploy/verify_image.sh runs them.
"""

import collections
import json
import pathlib
import re
import sys

Copy = collections.namedtuple("Copy", "stage sources target")


class Stage:
    def __init__(self, base):
        self.base = base  # a Stage, or the name of an image
        self.instructions = []  # (name, text), without FROM

    def chain(self):
        """The instructions from the first stage that this one is built on to its own last."""
        before = self.base.chain() if isinstance(self.base, Stage) else []
        return before + self.instructions

    def image(self):
        return self.base.image() if isinstance(self.base, Stage) else self.base

    def last(self, name):
        return [text for found, text in self.chain() if found == name][-1]

    def words(self, name):
        """Of an instruction in exec form."""
        return json.loads(self.last(name))

    def copies(self):
        for name, text in self.instructions:
            if name == "COPY":
                yield parse_copy(text)


def parse_copy(text):
    words = text.split()
    stage = None
    if words[0].startswith("--from="):
        stage = words.pop(0).removeprefix("--from=")
    return Copy(stage, words[:-1], words[-1])


def logical_lines(text):
    """Joins continued lines; comments end none."""
    joined = ""
    for line in text.splitlines():
        if line.lstrip().startswith("#") or (not joined and not line.strip()):
            continue
        if line.endswith("\\"):
            joined += line[:-1].rstrip() + " "
        else:
            yield (joined + line.strip()).strip()
            joined = ""
    if joined:
        raise ValueError(f"the last instruction does not end: {joined}")


def stages(text):
    """Name -> Stage, in the file's order."""
    arguments, found, current = {}, {}, None
    for line in logical_lines(text):
        name, _, rest = line.partition(" ")
        if name == "ARG" and current is None:
            key, _, value = rest.partition("=")
            arguments[key] = value
        elif name == "FROM":
            image, _, alias = re.fullmatch(r"(\S+)(\s+AS\s+(\S+))?", rest).groups()
            image = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match.group(1)], image)
            current = found[alias] = Stage(found.get(image, image))
        else:
            current.instructions.append((name, re.sub(r"\s+", " ", rest)))
    return found


def main():
    path, name = sys.argv[1:]
    stage = stages(pathlib.Path(path).read_text(encoding="utf-8"))[name]
    for instruction in stage.chain():
        print(json.dumps(instruction))


if __name__ == "__main__":
    main()
