#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "core/base/sha256.h"
#include "tests/server/test_server.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class UploadModelTest : public ServerTest {
 protected:
  void SetUp() override { Start(); }

  // One whose first message has been sent.
  struct Upload {
    std::unique_ptr<grpc::ClientContext> context = Context();
    v1::Model model;
    std::unique_ptr<grpc::ClientWriter<v1::UploadModelRequest>> writer;
  };
  std::unique_ptr<Upload> Begin(const std::string& name, const std::string& sha256,
                                absl::string_view data) {
    auto upload = std::make_unique<Upload>();
    upload->writer = models_->UploadModel(upload->context.get(), &upload->model);
    v1::UploadModelRequest request;
    request.set_name(name);
    request.set_sha256(sha256);
    request.set_data(std::string(data));
    upload->writer->Write(request);
    return upload;
  }

  // In two messages.
  grpc::Status Send(const std::string& name, const std::string& file, v1::Model* model,
                    const std::string& sha256 = "") {
    const auto upload = Begin(name, sha256, file.substr(0, file.size() / 2));
    v1::UploadModelRequest rest;
    rest.set_data(file.substr(file.size() / 2));
    upload->writer->Write(rest);
    upload->writer->WritesDone();
    const grpc::Status status = upload->writer->Finish();
    *model = upload->model;
    return status;
  }
};

TEST_F(UploadModelTest, PublishesTheNextVersion) {
  Publish("cells", 1);
  const std::string file = TestArtifact(7);
  v1::Model model;
  const grpc::Status status = Send("cells", file, &model, Sha256Hex(file));
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(model.name(), "cells");
  EXPECT_EQ(model.version(), 2);
  EXPECT_EQ(model.sha256(), Sha256Hex(file));
  EXPECT_EQ(*OpenRegistry().Read({"cells", 2}), file);
}

TEST_F(UploadModelTest, AFileThatIsTheNewestAlreadyIsNotPublishedTwice) {
  v1::Model model;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(Send("cells", TestArtifact(1), &model).ok());
    EXPECT_EQ(model.version(), 1);
  }
  ASSERT_TRUE(Send("cells", TestArtifact(2), &model).ok());
  EXPECT_EQ(model.version(), 2);
  ASSERT_TRUE(Send("cells", TestArtifact(1), &model).ok());
  EXPECT_EQ(model.version(), 3) << "going back to an older file is a new version";
}

TEST_F(UploadModelTest, AFileThatComesTwiceAtTheSameTimeIsPublishedOnce) {
  const std::string file = TestArtifact();
  const auto first = Begin("cells", "", file);
  const auto second = Begin("cells", "", file);
  for (Upload* const upload : {first.get(), second.get()}) upload->writer->WritesDone();
  for (Upload* const upload : {first.get(), second.get()}) {
    const grpc::Status status = upload->writer->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(upload->model.version(), 1);
  }
}

TEST_F(UploadModelTest, SaysWhatIsWrong) {
  v1::Model model;
  const std::string file = TestArtifact();
  grpc::Status status = Send("No Name", file, &model);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(DetailsOf(status).fields(), ElementsAre("name"));

  status = Send("cells", "no model's file", &model);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(DetailsOf(status).fields(), ElementsAre("data"));

  status = Send("cells", file, &model, Sha256Hex("another"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_THAT(status.error_message(), HasSubstr(Sha256Hex(file)));

  std::string damaged = file;
  damaged[damaged.size() / 2] ^= 1;
  status = Send("cells", damaged, &model);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);

  Upload empty;
  empty.writer = models_->UploadModel(empty.context.get(), &empty.model);
  empty.writer->WritesDone();
  status = empty.writer->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("no message"));

  EXPECT_TRUE(OpenRegistry().ModelNames()->empty());
}

TEST_F(UploadModelTest, OneThatIsGivenUpPublishesNothing) {
  const std::string file = TestArtifact();
  const auto upload = Begin("cells", "", file);
  upload->context->TryCancel();
  EXPECT_EQ(upload->writer->Finish().error_code(), grpc::StatusCode::CANCELLED);
  v1::Model model;
  ASSERT_TRUE(Send("others", file, &model).ok());
  EXPECT_THAT(*OpenRegistry().ModelNames(), ElementsAre("others"));
}

TEST_F(UploadModelTest, ADigestMayBeInUpperCase) {
  const std::string file = TestArtifact();
  v1::Model model;
  EXPECT_TRUE(Send("cells", file, &model, absl::AsciiStrToUpper(Sha256Hex(file))).ok());
  EXPECT_EQ(model.sha256(), Sha256Hex(file));
}

TEST_F(UploadModelTest, WhatIsNoDigestIsNotTakenForDamage) {
  v1::Model model;
  for (const std::string& digest :
       {std::string("zz"), std::string(64, 'g'), std::string(65, 'a')}) {
    const grpc::Status status = Send("cells", TestArtifact(), &model, digest);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << digest;
    EXPECT_THAT(DetailsOf(status).fields(), ElementsAre("sha256"));
  }
}

TEST_F(UploadModelTest, LaterMessagesSayNothingElse) {
  const std::string file = TestArtifact();
  v1::UploadModelRequest other_name;
  other_name.set_name("others");
  v1::UploadModelRequest digest;
  digest.set_sha256(Sha256Hex(file));
  v1::UploadModelRequest unreadable;
  unreadable.set_name("\xff");
  for (const auto& [later, field] :
       {std::pair(other_name, "name"), {digest, "sha256"}, {unreadable, ""}}) {
    const auto upload = Begin("cells", "", file);
    upload->writer->Write(later);
    upload->writer->WritesDone();
    const grpc::Status status = upload->writer->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << field;
    const Details details = DetailsOf(status);
    EXPECT_EQ(details.info.reason(), "INVALID_FIELD");
    EXPECT_EQ(details.fields().empty() ? "" : details.fields().at(0), field);
  }
  const auto upload = Begin("cells", Sha256Hex(file), file.substr(0, 1000));
  v1::UploadModelRequest rest;
  rest.set_name("cells");
  rest.set_sha256(Sha256Hex(file));
  rest.set_data(file.substr(1000));
  upload->writer->Write(rest);
  upload->writer->WritesDone();
  const grpc::Status status = upload->writer->Finish();
  EXPECT_TRUE(status.ok()) << "the same again: " << status.error_message();
  EXPECT_EQ(upload->model.version(), 1) << "of the others nothing was published";
}

class ImpatientUploadTest : public UploadModelTest {
 protected:
  void Configure(DaemonOptions* options) override { options->file_patience = absl::ZeroDuration(); }
};

TEST_F(ImpatientUploadTest, WhoDoesNotSendMakesRoomForOthers) {
  const std::string file = TestArtifact();
  const auto first = Begin("a", "", file);
  const auto second = Begin("b", "", file);
  v1::Model model;
  grpc::Status status;
  int tries = 0;
  do {
    status = Send("c", file, &model);
    EXPECT_TRUE(status.ok() || DetailsOf(status).has_retry) << status.error_message();
  } while (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED && ++tries < 10000);
  EXPECT_TRUE(status.ok()) << status.error_message();
  // One may have been at work when the place was wanted, or its end may have come too late.
  int cut_off = 0;
  for (Upload* const stuck : {first.get(), second.get()}) {
    stuck->writer->WritesDone();
    const grpc::Status end = stuck->writer->Finish();
    cut_off += end.error_code() == grpc::StatusCode::CANCELLED;
    EXPECT_TRUE(end.ok() || end.error_code() == grpc::StatusCode::CANCELLED) << end.error_message();
  }
  EXPECT_GE(cut_off, 1);
}

}  // namespace
}  // namespace cytopress
