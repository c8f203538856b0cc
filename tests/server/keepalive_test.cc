// Clients that go away without a word, or stay without one.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tests/server/test_server.h"

namespace cytopress {
namespace {

// RFC 9113: the types and flags of frames.
constexpr char kHeaders = 1, kSettings = 4, kPing = 6, kGoAway = 7;
constexpr char kNone = -1;
constexpr char kAck = 1, kEndHeaders = 4;

// A client as far as HTTP/2 goes: answers pings while it pleases.
class BareClient {
 public:
  explicit BareClient(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    const timeval patience = {30, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }
  ~BareClient() { close(fd_); }

  void Greet() {
    Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    SendFrame(kSettings, 0, 0, "");
  }
  // Opens a ClassifyStream on which nothing is sent.
  void OpenStream() {
    std::string headers = "\x83\x86";        // RFC 7541: ":method: POST", ":scheme: http"
    AddText("\x01", "localhost", &headers);  // ":authority"
    AddText("\x04", "/cytopress.v1.InferenceService/ClassifyStream", &headers);  // ":path"
    AddHeader("te", "trailers", &headers);
    AddHeader("content-type", "application/grpc", &headers);
    Greet();
    SendFrame(kHeaders, kEndHeaders, 1, headers);
  }

  // The pings that came before the server closed the connection, of which the first `answers` were
  // answered; -1 when it does not close it.
  int AnswerPings(int answers) {
    for (int pings = 0;;) {
      const Frame frame = ReceiveFrame();
      if (frame.type == kNone) return ended_ ? pings : -1;
      if (frame.type != kPing || (frame.flags & kAck) != 0) continue;
      if (++pings <= answers) SendFrame(kPing, kAck, 0, frame.body);
    }
  }

  // How many of so many pings, each sent when the one before is answered, are before the server
  // wants to hear no more.
  int Ping(int pings) {
    int answered = 0;
    while (answered < pings) {
      SendFrame(kPing, 0, 0, "8 bytes.");
      Frame frame;
      do {
        frame = ReceiveFrame();
        if (frame.type == kNone || frame.type == kGoAway) return answered;
      } while (frame.type != kPing || (frame.flags & kAck) == 0);
      ++answered;
    }
    return answered;
  }

 private:
  struct Frame {
    char type = kNone;
    char flags = 0;
    std::string body;
  };

  // Of kNone when no more come.
  Frame ReceiveFrame() {
    const std::string head = Receive(9);
    if (head.size() < 9) return {};
    const auto byte = [&head](int i) { return static_cast<uint8_t>(head[i]); };
    return {head[3], head[4], Receive(byte(0) << 16 | byte(1) << 8 | byte(2))};
  }

  static void AddText(absl::string_view name, absl::string_view value, std::string* headers) {
    absl::StrAppend(headers, name, std::string(1, static_cast<char>(value.size())), value);
  }
  static void AddHeader(absl::string_view name, absl::string_view value, std::string* headers) {
    AddText(absl::string_view("\0", 1), name, headers);
    AddText("", value, headers);
  }
  void Send(absl::string_view bytes) {
    EXPECT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void SendFrame(char type, char flags, char stream, absl::string_view body) {
    const char head[] = {0, 0, static_cast<char>(body.size()), type, flags, 0, 0, 0, stream};
    Send(absl::StrCat(absl::string_view(head, sizeof(head)), body));
  }
  // Fewer bytes when there are no more.
  std::string Receive(size_t size) {
    std::string bytes(size, '\0');
    size_t got = 0;
    while (got < size) {
      const ssize_t more = recv(fd_, &bytes[got], size - got, 0);
      ended_ = more == 0 || (more < 0 && errno != EAGAIN);
      if (more <= 0) break;
      got += more;
    }
    bytes.resize(got);
    return bytes;
  }

  const int fd_;
  bool ended_ = false;
};

class KeepaliveTest : public ServerTest {
 protected:
  void Configure(DaemonOptions* options) override {
    options->grpc.keepalive_time = absl::Milliseconds(50);
    options->grpc.keepalive_timeout = absl::Seconds(5);
  }
};

TEST_F(KeepaliveTest, AClientThatAnswersNoMoreIsCutOff) {
  Start();
  BareClient client(daemon_->port());
  client.OpenStream();
  EXPECT_GT(client.AnswerPings(5), 5);  // the sixth is waited for in vain, for five seconds
}

class ClientPingsTest : public ServerTest {
 protected:
  void Configure(DaemonOptions* options) override {
    options->grpc.least_ping_interval = absl::ZeroDuration();
  }
};

TEST_F(ClientPingsTest, AClientMayAskWhetherTheServerIsThere) {
  Start();
  BareClient with_call(daemon_->port());
  with_call.OpenStream();
  EXPECT_EQ(with_call.Ping(10), 10);
  BareClient without_call(daemon_->port());
  without_call.Greet();
  EXPECT_EQ(without_call.Ping(10), 10);
}

TEST_F(ServerTest, AClientThatAsksAllTheTimeIsCutOff) {
  Start();
  BareClient client(daemon_->port());
  client.OpenStream();
  EXPECT_LT(client.Ping(100), 100);
}

class IdleConnectionTest : public ServerTest {
 protected:
  void Configure(DaemonOptions* options) override {
    options->grpc.idle_time = absl::Milliseconds(50);
  }
};

TEST_F(IdleConnectionTest, AConnectionWithoutACallIsClosed) {
  Start();
  BareClient client(daemon_->port());
  client.Greet();
  EXPECT_GE(client.AnswerPings(0), 0);
}

}  // namespace
}  // namespace cytopress
