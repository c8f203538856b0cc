"""Checks the ladder of core, server and client.

- A source includes only headers of its own library and of those in the DEPS of that library, or, of
  a program, of those that it links. The few others that it may include are in ALSO.
- A library's DEPS stand before it in the order of the CMakeLists.txt files, so that there is no
  cycle, and a name in them is there because something of it is included.
- Of core, server and client, the last two know only core.
- LibTorch appears in core/compression, core/pipeline and core/gpu alone, gRPC nowhere in core and
  elsewhere only where the library links it.
"""
import collections
import pathlib
import re
import sys

TORCH_FOLDERS = ("core/compression", "core/gpu", "core/pipeline")
# What comes with a library that does, or needs no linking.
ALSO = {
    "server": {
        "core/engine/engine.h",  # comes with core/serving
        "core/gpu/engine_module.h",  # constants and a function type; the module itself is loaded
    },
    "client/report": {"core/base"},  # comes with the client library, as the next
    "client/cli": {"core/base"},
}
TOPS = ("core", "server", "client")
MESSAGES = ("cytopress/v1/", "google/rpc/")
TORCH = ("torch/", "ATen/", "c10/")
INCLUDE = re.compile(r'^\s*#include\s+[<"]([^>"]+)[>"]', re.MULTILINE)
COMMAND = re.compile(r"\b(add_subdirectory|cytopress_library|add_executable"
                     r"|target_link_libraries)\(([^()]*)\)")
OURS = re.compile(r"^cytopress_([a-z_]+)$")

# A library, whose name lacks "cytopress_" here, or a program. `folders` and `sources` are paths from
# the root; `dependencies` are names of libraries; "grpc" stands for gRPC as well.
Target = collections.namedtuple("Target", "name folders sources dependencies is_library")


def targets_of(root, folder=pathlib.PurePosixPath(".")):
    """The targets of a CMakeLists.txt and of the folders that it adds, in their order."""
    cmake = root / folder / "CMakeLists.txt"
    text = re.sub(r"#.*", "", cmake.read_text())
    found = []
    for command, arguments in COMMAND.findall(text):
        words = arguments.split()
        if command == "add_subdirectory":
            if (folder / words[0]).parts[0] in TOPS:
                found += targets_of(root, folder / words[0])
        elif command == "target_link_libraries":
            # Of libraries, what their DEPS name is all that they link of ours.
            found = [t._replace(dependencies=t.dependencies | dependencies(words[1:]))
                     if t.name == words[0] and not t.is_library else t for t in found]
        else:
            found.append(target(folder, command, words))
    return found


def dependencies(words):
    names = {match.group(1) for match in map(OURS.match, words) if match}
    return names | ({"grpc"} if any(word.startswith("gRPC::") for word in words) else set())


def target(folder, command, words):
    at = words.index("DEPS") if "DEPS" in words else len(words)
    sources = {(folder / word).as_posix() for word in words[1:at] if word.endswith(".cc")}
    folders = {source.rpartition("/")[0] for source in sources}
    return Target(words[0], folders, sources, dependencies(words[at:]),
                  command == "cytopress_library")


class Tree:
    def __init__(self, root):
        self.root = root
        self.targets = targets_of(root)
        self.libraries = {t.name: t for t in self.targets if t.is_library}
        self.files = sorted(path.relative_to(root).as_posix() for top in TOPS
                            for path in (root / top).rglob("*") if path.suffix in (".h", ".cc"))
        self.owned = {source: [t for t in self.targets if source in t.sources]
                      for t in self.targets for source in t.sources}

    def owners(self, file):
        """The targets that a source belongs to, one of which must allow what it includes. A header
        goes with the source of its name, and without one with all libraries of its folder."""
        source = re.sub(r"\.h$", ".cc", file)
        return self.owned.get(source) or [
            t for t in self.libraries.values() if file.rpartition("/")[0] in t.folders]

    def problems(self):
        used = collections.defaultdict(set)  # by target: libraries of which something is included
        for file in self.files:
            owners = self.owners(file)
            if not owners:
                yield f"{file} belongs to no target"
            for name in INCLUDE.findall((self.root / file).read_text()):
                found = [self.problem_of(name, file.rpartition("/")[0], owner, used[owner.name])
                         for owner in owners]
                if found and all(found):
                    yield f"{file} includes {name}: {found[0]}"
        yield from self.problems_of_dependencies(used)

    def problem_of(self, name, folder, owner, used):
        """What is wrong with an include; None if nothing is."""
        if name.split("/")[0] in TOPS:
            providers = {library.name for library in self.owners(name) if library.is_library}
            used |= providers
            also = ALSO.get(folder, set())
            if not (providers & (owner.dependencies | {owner.name}) or name in also
                    or name.rpartition("/")[0] in also):
                return f"not in the DEPS of {owner.name}"
        if name.startswith(TORCH) and folder not in TORCH_FOLDERS:
            return "LibTorch belongs in core/compression, core/pipeline and core/gpu"
        if name.startswith(("grpc/", "grpcpp/")) or ".grpc.pb." in name:
            used.add("grpc")
            if folder.startswith("core/"):
                return "gRPC does not belong in core"
            if "grpc" not in owner.dependencies:
                return f"gRPC is not in the DEPS of {owner.name}"
        if name.startswith(MESSAGES):
            used |= {"proto", "grpc"}
            if not owner.dependencies & {"proto", "grpc", "client"}:
                return f"cytopress_proto is not in the DEPS of {owner.name}"
        return None

    def problems_of_dependencies(self, used):
        before = {"proto", "grpc"}
        for library in self.libraries.values():
            for name in sorted(library.dependencies - before):
                yield f"{library.name} has {name} in its DEPS, which is no rung below it"
            for name in sorted(library.dependencies - used[library.name]):
                yield f"{library.name} has {name} in its DEPS and includes nothing of it"
            tops = {folder.split("/")[0] for folder in library.folders} | {"core"}
            for name in sorted(library.dependencies & set(self.libraries)):
                if not {f.split("/")[0] for f in self.libraries[name].folders} <= tops:
                    yield f"{library.name} has {name} in its DEPS, which is not its own nor core's"
            before.add(library.name)


def main():
    tree = Tree(pathlib.Path(sys.argv[1]))
    problems = list(tree.problems())
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems in {len(tree.files)} files of {len(tree.targets)} targets")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
