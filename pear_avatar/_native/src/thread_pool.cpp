#include "thread_pool.h"

#if !defined(_WIN32)
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace pear {
namespace {

constexpr int kMaxThreads = 64;

class Pool {
 public:
  void run(int threads, int count, int grain, void (*body)(void*, int, int), void* context) {
    std::unique_lock<std::mutex> caller(caller_, std::try_to_lock);
    if (!caller.owns_lock()) {
      body(context, 0, count);
      return;
    }
    {
      std::lock_guard<std::mutex> lock(mutex_);
      grow(threads - 1);
      body_ = body;
      context_ = context;
      count_ = count;
      grain_ = grain;
      next_.store(0, std::memory_order_relaxed);
      wanted_ = std::min(threads - 1, (count + grain - 1) / grain - 1);
      ++epoch_;
      open_ = true;
    }
    wake_.notify_all();
    take_pieces();
    {
      std::lock_guard<std::mutex> lock(mutex_);
      open_ = false;  // who has not started by now finds nothing to do
    }
    for (int spins = 0; active_.load(std::memory_order_acquire) != 0; ++spins)
      if (spins > 2000) std::this_thread::yield();
  }

 private:
  void grow(int workers) {
    for (; workers_ < workers; ++workers_)
      std::thread([this, id = workers_] { work(id); }).detach();
  }

  void work(int id) {
    uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return open_ && epoch_ != seen && id < wanted_; });
      seen = epoch_;
      active_.fetch_add(1, std::memory_order_relaxed);
      lock.unlock();
      take_pieces();
      active_.fetch_sub(1, std::memory_order_release);
      lock.lock();
    }
  }

  void take_pieces() {
    for (;;) {
      const int begin = next_.fetch_add(grain_, std::memory_order_relaxed);
      if (begin >= count_) return;
      body_(context_, begin, std::min(count_, begin + grain_));
    }
  }

  std::mutex caller_, mutex_;
  std::condition_variable wake_;
  std::atomic<int> next_{0}, active_{0};
  void (*body_)(void*, int, int) = nullptr;
  void* context_ = nullptr;
  int count_ = 0, grain_ = 1, wanted_ = 0, workers_ = 0;
  uint64_t epoch_ = 0;
  bool open_ = false;
};

int usable_cores() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  return static_cast<int>(std::thread::hardware_concurrency());
}

int clamp_threads(int count) { return std::max(1, std::min(count, kMaxThreads)); }

std::atomic<int>& thread_setting() {
  static std::atomic<int> setting{clamp_threads(usable_cores())};
  return setting;
}

std::atomic<Pool*> current_pool{nullptr};

// The workers do not live on in a forked child and its locks may be held by nobody: leave the
// parent's pool alone there and begin a new one. Pools are never destroyed, since their workers
// may outlive static destructors.
Pool& pool() {
  static std::once_flag once;
  std::call_once(once, [] {
    current_pool = new Pool;
#if !defined(_WIN32)  // where nothing forks
    pthread_atfork(nullptr, nullptr, [] { current_pool = new Pool; });
#endif
  });
  return *current_pool;
}

}  // namespace

int num_threads() { return thread_setting(); }
void set_num_threads(int count) { thread_setting() = clamp_threads(count); }

void parallel_for(int count, int grain, void (*body)(void*, int, int), void* context) {
  if (count <= 0) return;
  const int threads = num_threads();
  if (threads == 1 || count <= grain) {
    body(context, 0, count);
  } else {
    pool().run(threads, count, grain, body, context);
  }
}

}  // namespace pear
