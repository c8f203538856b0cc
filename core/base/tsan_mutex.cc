// Only in builds with the thread sanitizer. The system's Abseil is not built with it, so the
// sanitizer does not see its mutexes and would report a race for everything that they guard. The
// linker sends our calls here (--wrap, see CMakeLists.txt), where they are announced.
#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

// Mangled names of absl::Mutex's and absl::Notification's members in Debian's inline namespace.
#define REAL(name) __real__Z##name
#define WRAP(name) __wrap__Z##name
#define MUTEX_LOCK N4absl7debian35Mutex4LockEv
#define MUTEX_UNLOCK N4absl7debian35Mutex6UnlockEv
#define MUTEX_AWAIT N4absl7debian35Mutex5AwaitERKNS0_9ConditionE
#define MUTEX_AWAIT_WITH_TIMEOUT \
  N4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE
#define NOTIFY N4absl7debian312Notification6NotifyEv
#define WAIT NK4absl7debian312Notification19WaitForNotificationEv
#define WAIT_WITH_TIMEOUT \
  NK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE
#define EXPAND_REAL(name) REAL(name)
#define EXPAND_WRAP(name) WRAP(name)

namespace {

void TakenAgain(absl::Mutex* mutex) {
  __tsan_mutex_pre_lock(mutex, __tsan_mutex_linker_init);
  __tsan_mutex_post_lock(mutex, __tsan_mutex_linker_init, 0);
}

}  // namespace

extern "C" {

void EXPAND_REAL(MUTEX_LOCK)(absl::Mutex* mutex);
void EXPAND_WRAP(MUTEX_LOCK)(absl::Mutex* mutex) {
  __tsan_mutex_pre_lock(mutex, __tsan_mutex_linker_init);
  EXPAND_REAL(MUTEX_LOCK)(mutex);
  __tsan_mutex_post_lock(mutex, __tsan_mutex_linker_init, 0);
}

// Between "pre" and "post" the sanitizer looks away: the conditions of waiting threads are
// evaluated there, by whoever has the mutex.
void EXPAND_REAL(MUTEX_UNLOCK)(absl::Mutex* mutex);
void EXPAND_WRAP(MUTEX_UNLOCK)(absl::Mutex* mutex) {
  __tsan_mutex_pre_unlock(mutex, 0);
  EXPAND_REAL(MUTEX_UNLOCK)(mutex);
  __tsan_mutex_post_unlock(mutex, 0);
}

void EXPAND_REAL(MUTEX_AWAIT)(absl::Mutex* mutex, const absl::Condition& condition);
void EXPAND_WRAP(MUTEX_AWAIT)(absl::Mutex* mutex, const absl::Condition& condition) {
  __tsan_mutex_pre_unlock(mutex, 0);
  EXPAND_REAL(MUTEX_AWAIT)(mutex, condition);
  __tsan_mutex_post_unlock(mutex, 0);
  TakenAgain(mutex);
}

bool EXPAND_REAL(MUTEX_AWAIT_WITH_TIMEOUT)(absl::Mutex* mutex, const absl::Condition& condition,
                                           absl::Duration timeout);
bool EXPAND_WRAP(MUTEX_AWAIT_WITH_TIMEOUT)(absl::Mutex* mutex, const absl::Condition& condition,
                                           absl::Duration timeout) {
  __tsan_mutex_pre_unlock(mutex, 0);
  const bool fulfilled = EXPAND_REAL(MUTEX_AWAIT_WITH_TIMEOUT)(mutex, condition, timeout);
  __tsan_mutex_post_unlock(mutex, 0);
  TakenAgain(mutex);
  return fulfilled;
}

void EXPAND_REAL(NOTIFY)(absl::Notification* notification);
void EXPAND_WRAP(NOTIFY)(absl::Notification* notification) {
  __tsan_release(notification);
  EXPAND_REAL(NOTIFY)(notification);
}

void EXPAND_REAL(WAIT)(const absl::Notification* notification);
void EXPAND_WRAP(WAIT)(const absl::Notification* notification) {
  EXPAND_REAL(WAIT)(notification);
  __tsan_acquire(const_cast<absl::Notification*>(notification));
}

bool EXPAND_REAL(WAIT_WITH_TIMEOUT)(const absl::Notification* notification, absl::Duration timeout);
bool EXPAND_WRAP(WAIT_WITH_TIMEOUT)(const absl::Notification* notification,
                                    absl::Duration timeout) {
  const bool notified = EXPAND_REAL(WAIT_WITH_TIMEOUT)(notification, timeout);
  if (notified) __tsan_acquire(const_cast<absl::Notification*>(notification));
  return notified;
}

}  // extern "C"
