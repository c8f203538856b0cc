"""Checks that every folder of core, server and client includes only what its CMake target declares.

A folder may include headers of itself and of the folders whose targets stand in the DEPS of its own
target. The few others that it may include are in ALSO. LibTorch appears in core/compression and
core/gpu alone, gRPC nowhere in core and elsewhere only where the target links it.
"""
import pathlib
import posixpath
import re
import sys

TORCH_FOLDERS = ("core/compression", "core/gpu")
# What comes with a target that does, or needs no linking.
ALSO = {
    "server": {
        "core/engine/engine.h",  # comes with core/serving
        "core/gpu/engine_module.h",  # constants and a function type; the module itself is loaded
    },
    "client/report": {"core/base"},  # comes with the client library, as the next
    "client/cli": {"core/base"},
}
# Folders whose targets are called otherwise, and targets of single headers. Every other target
# cytopress_x is that of core/x.
PROVIDES = {
    "metrics": "server/metrics",
    "supervisor": "server/supervisor",
    "worker_process": "server/worker/process_lock.h",
    "client": "client",
    "report": "client/report",
    "cli": "client/cli",
}
OUR_FOLDERS = ("core/", "server/", "client/")
MESSAGES = ("cytopress/v1/", "google/rpc/")
TORCH = ("torch/", "ATen/", "c10/")
INCLUDE = re.compile(r'^\s*#include\s+[<"]([^>"]+)[>"]', re.MULTILINE)
TARGET = re.compile(r"\bcytopress_([a-z_]+)\b(?!\()")
LIBRARY = re.compile(r"cytopress_library\((.*?)\)", re.DOTALL)


def declared_dependencies(cmake_text):
    """Names of the targets that a CMakeLists.txt, or a part of one, links."""
    text = re.sub(r"#.*", "", cmake_text)
    names = set(TARGET.findall(text))
    if "gRPC::" in text or "grpc" in names:
        names.add("grpc")
    return names


def folders(root):
    """Every folder with sources, and the names of the targets that it links."""
    found = {}
    for top in ("core", "server"):
        for cmake in sorted((root / top).rglob("CMakeLists.txt")):
            folder = cmake.parent.relative_to(root).as_posix()
            if folder != "core":
                found[folder] = declared_dependencies(cmake.read_text())
    # Three targets of one CMakeLists.txt; the sources tell the folder.
    for library in LIBRARY.findall((root / "client/CMakeLists.txt").read_text()):
        name = library.split()[0]
        found[PROVIDES[name]] = declared_dependencies(library)
    return found


def allowed_includes(folder, targets):
    """Folders and single headers."""
    provided = {PROVIDES.get(name, f"core/{name}") for name in targets}
    return provided | {folder} | ALSO.get(folder, set())


def problem_of(name, folder, targets):
    """What is wrong with the include `name` in `folder`; None if nothing is."""
    if name.startswith(OUR_FOLDERS):
        allowed = allowed_includes(folder, targets)
        if name not in allowed and posixpath.dirname(name) not in allowed:
            return f"not in the DEPS of {folder}"
    if name.startswith(TORCH) and folder not in TORCH_FOLDERS:
        return "LibTorch belongs in core/compression and core/gpu"
    if name.startswith(("grpc/", "grpcpp/")) or ".grpc.pb." in name:
        if folder.startswith("core/"):
            return "gRPC does not belong in core"
        if "grpc" not in targets:
            return f"gRPC is not in the DEPS of {folder}"
    if name.startswith(MESSAGES) and not targets & {"proto", "grpc", "client"}:
        return f"cytopress_proto is not in the DEPS of {folder}"
    return None


def main():
    root = pathlib.Path(sys.argv[1])
    checked = folders(root)
    problems = []
    for top in OUR_FOLDERS:
        for source in sorted((root / top).rglob("*")):
            if source.suffix not in (".h", ".cc"):
                continue
            where = source.relative_to(root).as_posix()
            folder = posixpath.dirname(where)
            if folder not in checked:
                problems.append(f"{where} is in a folder without a target")
                continue
            for name in INCLUDE.findall(source.read_text()):
                problem = problem_of(name, folder, checked[folder])
                if problem:
                    problems.append(f"{where} includes {name}: {problem}")
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems in {len(checked)} folders of core, server and client")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
