#include "client/classify_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/status.h"
#include "core/base/status_macros.h"

namespace cytopress {

ClassifyStream::ClassifyStream(v1::InferenceService::StubInterface* stub, absl::Duration patience)
    : patience_(patience), writing_(&context_, patience) {
  writing_.During([&] {
    stream_ = stub->ClassifyStream(&context_);
    return true;
  });
  reader_ = std::thread([this] { Read(); });
}

ClassifyStream::~ClassifyStream() {
  if (!reader_.joinable()) return;
  context_.TryCancel();
  reader_.join();
  stream_->Finish();
}

void ClassifyStream::Write(const v1::ClassifyStreamRequest& request) {
  writing_.During([&] { return stream_->Write(request); });
}

absl::StatusOr<v1::ClassifyStreamResponse> ClassifyStream::Next() {
  while (true) {
    news_.Reset();
    const bool ended = ended_.HasBeenNotified();  // asked first: no answer comes after the end
    std::optional<v1::ClassifyStreamResponse> answer = TakeAnswer();
    if (answer.has_value()) return *std::move(answer);
    if (ended) break;
    if (!news_.WaitFor(patience_)) {
      return absl::DeadlineExceededError(
          absl::StrCat("no answer within ", absl::FormatDuration(patience_)));
    }
  }
  const absl::Status end = Finish();
  CYTOPRESS_RETURN_IF_ERROR(writing_.status());
  return end.ok() ? absl::UnavailableError("the server ended the stream") : end;
}

absl::Status ClassifyStream::Close() {
  writing_.During([&] { return stream_->WritesDone(); });
  if (!ended_.WaitFor(patience_)) {
    return absl::DeadlineExceededError(
        absl::StrCat("the stream did not end within ", absl::FormatDuration(patience_)));
  }
  const absl::Status end = Finish();
  CYTOPRESS_RETURN_IF_ERROR(writing_.status());
  return end;
}

void ClassifyStream::Read() {
  v1::ClassifyStreamResponse answer;
  while (stream_->Read(&answer)) {
    {
      absl::MutexLock lock(&mutex_);
      answers_.push_back(std::move(answer));
    }
    news_.Notify();
  }
  ended_.Notify();
  news_.Notify();
}

std::optional<v1::ClassifyStreamResponse> ClassifyStream::TakeAnswer() {
  absl::MutexLock lock(&mutex_);
  if (answers_.empty()) return std::nullopt;
  v1::ClassifyStreamResponse answer = std::move(answers_.front());
  answers_.pop_front();
  return answer;
}

absl::Status ClassifyStream::Finish() {
  reader_.join();
  return ToAbslStatus(stream_->Finish());
}

}  // namespace cytopress
