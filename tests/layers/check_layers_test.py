"""Each rule of check_layers.py, broken in a small tree."""
import pathlib
import tempfile
import unittest

import check_layers

GOOD = {
    "CMakeLists.txt": "add_subdirectory(core)\nadd_subdirectory(server)\nadd_subdirectory(client)",
    "core/CMakeLists.txt": "add_subdirectory(base)\nadd_subdirectory(artifact)",
    "core/base/CMakeLists.txt": "cytopress_library(base SOURCES file.cc)",
    "core/base/file.h": "",
    "core/base/file.cc": '#include "core/base/file.h"\n#include <string>\n',
    "core/artifact/CMakeLists.txt":
        "cytopress_library(artifact\n  SOURCES artifact.cc  # the file\n  DEPS cytopress_base)",
    "core/artifact/artifact.h": '#include "core/base/file.h"\n',
    "core/artifact/artifact.cc": '#include "core/artifact/artifact.h"\n',
    "server/CMakeLists.txt":
        "cytopress_library(server SOURCES daemon.cc DEPS cytopress_artifact gRPC::grpc++)\n"
        "add_executable(cytopressd main.cc)\n"
        "target_link_libraries(cytopressd PRIVATE cytopress_server)",
    "server/daemon.h": "",
    "server/daemon.cc": '#include <grpcpp/server.h>\n#include "core/artifact/artifact.h"\n',
    "server/main.cc": '#include "server/daemon.h"\n',
    "client/CMakeLists.txt": "cytopress_library(client SOURCES client.cc DEPS cytopress_base)",
    "client/client.cc": '#include "core/base/file.h"\n',
}


def problems(changes):
    """Of the good tree with other contents in some files."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in {**GOOD, **changes}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return list(check_layers.Tree(root).problems())


class CheckLayersTest(unittest.TestCase):
    def expect_one(self, part, changes):
        found = problems(changes)
        self.assertEqual(len(found), 1, found)
        self.assertIn(part, found[0])

    def test_the_good_tree(self):
        self.assertEqual(problems({}), [])

    def test_an_include_that_is_not_declared(self):
        self.expect_one("not in the DEPS of base",
                        {"core/base/file.cc": '#include "core/artifact/artifact.h"\n'})

    def test_a_program_may_include_what_it_links_only(self):
        self.expect_one("not in the DEPS of cytopressd",
                        {"server/main.cc": '#include "core/artifact/artifact.h"\n'})

    def test_a_cycle(self):
        self.expect_one("no rung below", {
            "core/base/CMakeLists.txt":
                "cytopress_library(base SOURCES file.cc DEPS cytopress_artifact)",
            "core/base/file.cc": '#include "core/artifact/artifact.h"\n'})

    def test_a_dependency_of_which_nothing_is_included(self):
        self.expect_one("includes nothing of it", {"core/artifact/artifact.h": ""})

    def test_clients_know_nothing_of_servers(self):
        self.expect_one("not its own nor core's", {
            "client/CMakeLists.txt":
                "cytopress_library(client SOURCES client.cc DEPS cytopress_server)",
            "client/client.cc": '#include "server/daemon.h"\n'})

    def test_frameworks(self):
        source = "core/artifact/artifact.cc"
        self.expect_one("LibTorch belongs", {source: "#include <torch/torch.h>\n"})
        self.expect_one("gRPC does not belong", {source: "#include <grpcpp/server.h>\n"})
        self.expect_one("gRPC is not in the DEPS", {
            "client/client.cc": '#include "core/base/file.h"\n#include <grpcpp/channel.h>\n'})

    def test_messages(self):
        self.expect_one("cytopress_proto is not in the DEPS", {
            "client/client.cc": '#include "core/base/file.h"\n#include "cytopress/v1/job.pb.h"\n'})

    def test_a_source_of_no_target(self):
        self.expect_one("belongs to no target", {"core/artifact/more/left.cc": ""})


if __name__ == "__main__":
    unittest.main()
