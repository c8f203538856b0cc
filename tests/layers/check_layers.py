"""Checks that every folder includes only what its CMake target declares.

A folder `core/x` may include headers of itself and of the folders whose targets stand in the DEPS of its
cytopress_library. LibTorch appears in core/compression and core/gpu alone, gRPC nowhere in core/.
"""
import pathlib
import re
import sys

TORCH_FOLDERS = ("compression", "gpu")
INCLUDE = re.compile(r'^\s*#include\s+[<"]([^>"]+)[>"]', re.MULTILINE)


def declared_dependencies(folder):
    """Names of the cytopress libraries that the folder's CMakeLists.txt links."""
    text = (folder / "CMakeLists.txt").read_text()
    return set(re.findall(r"\bcytopress_([a-z]+)\b(?!\()", text)) - {"library"}


def includes(path):
    return INCLUDE.findall(path.read_text())


def check_core(root):
    problems = []
    for folder in sorted((root / "core").iterdir()):
        if not folder.is_dir():
            continue
        allowed = declared_dependencies(folder) | {folder.name}
        for source in sorted(folder.rglob("*.[ch]*")):
            if source.suffix not in (".h", ".cc"):
                continue
            for name in includes(source):
                where = f"{source.relative_to(root)} includes {name}"
                if name.startswith("core/") and name.split("/")[1] not in allowed:
                    problems.append(f"{where}: not in the DEPS of {folder.name}")
                if name.startswith(("server/", "client/")):
                    problems.append(f"{where}: core knows neither server nor client")
                if name.startswith(("torch/", "ATen/", "c10/")) and folder.name not in TORCH_FOLDERS:
                    problems.append(f"{where}: LibTorch belongs in core/compression and core/gpu")
                if name.startswith(("grpc", "grpcpp/")) or ".grpc.pb." in name:
                    problems.append(f"{where}: gRPC does not belong in core")
                if name.startswith("cytopress/v1/") and "proto" not in allowed:
                    problems.append(f"{where}: cytopress_proto is not in the DEPS of {folder.name}")
    return problems


def check_client(root):
    problems = []
    for source in sorted((root / "client").rglob("*")):
        if source.suffix not in (".h", ".cc"):
            continue
        for name in includes(source):
            if name.startswith(("server/", "torch/")):
                problems.append(f"{source.relative_to(root)} includes {name}")
    return problems


def main():
    root = pathlib.Path(sys.argv[1])
    problems = check_core(root) + check_client(root)
    for problem in problems:
        print(problem)
    folders = len([f for f in (root / "core").iterdir() if f.is_dir()])
    print(f"{len(problems)} problems in {folders} folders of core and in client")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
